"""Imports a source as a Parquet dataset: in parts, by several processes, resumed where it was interrupted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from filelock import FileLock, Timeout

from distill.curation.writing import describe_dataset
from distill.sources.base import Source, SourcePhoto
from distill.sources.catalogue import OWN_DATA, known_source
from distill.sources.class_map import ClassMap, shipped_map
from surfaces.classes import BY_ID
from surfaces.cli.progress import progress_bar
from surfaces.datasets.description import licences_of, merge_scopes
from surfaces.datasets.named_labels import to_labels
from surfaces.datasets.parquet import PHOTOS, ParquetRow, write_labels
from surfaces.datasets.reading import DEFAULT_OPTIONS, ReadOptions, note, refuse_faults
from surfaces.datasets.sample import Labels, LabelScope
from surfaces.errors import DatasetError, DecodeError, OutputError
from surfaces.images.encode import suffix_of
from surfaces.io.atomic_files import replace_file, sweep
from surfaces.io.local_files import relative_path
from surfaces.licences import Licence
from surfaces.messages import counted, listed

PHOTOS_PER_PART = 256
_RECORDS = ".import"  # the folder of what lets an interrupted import go on
_PLAN = "plan.json"
_RESUME = "the same command goes on where it stopped"


@dataclass(frozen=True)
class ImportPlan:
    """What is imported, and how.

    Attributes:
        source: a name of the catalogue.
        path: of the source's folder or file.
        class_map: the user's own; None: the source's.
        options: how the source is read.
        copy: whether photos are copied; else they are linked (hard links) where the file system allows it.
        only: shell pattern of the photos' names; empty: all.
        limit: the most of these photos, at even distances; 0: all.
    """

    source: str
    path: Path
    class_map: Path | None = None
    options: ReadOptions = DEFAULT_OPTIONS
    copy: bool = False
    only: str = ""
    limit: int = 0

    def read_map(self) -> ClassMap:
        """The class map."""
        name = known_source(self.source).class_map
        return shipped_map(name) if self.class_map is None else ClassMap.read(self.class_map)

    def described(self) -> str:
        """All that decides about the result, with the state of the source's files, to compare with a run before."""
        values = {
            "source": self.source,
            "path": str(self.path.resolve()),
            "files": [[str(file), status.st_size, status.st_mtime_ns] for file, status in _index_files(self.path)],
            "class_map": self.read_map().fingerprint,
            "images": str(self.options.images),
            "follow_links": self.options.follow_links,
            "copy": self.copy,
            "only": self.only,
            "limit": self.limit,
        }
        return json.dumps(values, indent=1)

    def open(self, folder: Path) -> Source:
        """Opens the source; its index, if it has one, is in the folder."""
        options = self.options
        if self.source == OWN_DATA and self.class_map:
            options = replace(options, targets=self.read_map().targets())
        return known_source(self.source).open(self.path, folder, options)


@dataclass(frozen=True)
class ImportResult:
    """How many photos were imported, and a line for each that was left out."""

    photos: int
    faults: list[str]


@dataclass(frozen=True)
class _Part:
    """A part of an import: its number, and the indices of its photos in the source."""

    number: int
    indices: tuple[int, ...]

    def labels(self, work: Path) -> Path:
        return work / f"labels-{self.number:05d}.parquet"

    def report(self, work: Path) -> Path:
        """Written when the part is finished: the number of its photos, and its faults."""
        return work / _RECORDS / f"part-{self.number:05d}.json"

    def is_whole(self, work: Path) -> bool:
        """Whether it is finished without faults; those with faults are tried again, since they may be mended."""
        return self.report(work).is_file() and not _read_report(self, work).faults


def import_source(plan: ImportPlan, out: Path, workers: int = 1) -> ImportResult:
    """Imports a source to a new folder, which appears when all is done; until then `OUT.part` has what is finished.

    Args:
        plan: what is imported.
        out: the folder; must not exist.
        workers: processes.

    Raises:
        DatasetError: the source is not as expected; or, unless `plan.options.skip_invalid`, photos or labels have
            faults: all are listed after the others are imported.
        OutputError: the folder exists, another import writes it, or it cannot be written.
    """
    if out.exists():
        raise OutputError(f"expected a new folder to write to, got {out}, which exists")
    work = out.with_name(f"{out.name}.part")
    described = plan.described()
    try:
        (work / _RECORDS).mkdir(parents=True, exist_ok=True)
        lock = work.with_name(f".{work.name}.lock")
        with FileLock(lock, timeout=0):
            _keep_plan(work / _RECORDS / _PLAN, described)
            result = _import(plan, work, workers)
            work.rename(out)
            shutil.rmtree(out / _RECORDS)
        lock.unlink(missing_ok=True)
        return result
    except Timeout as error:
        raise OutputError(f"expected to write {work} alone, got another import that does") from error
    except BrokenProcessPool as error:
        raise OutputError(
            f"expected {workers} processes to import, got one that was killed: maybe memory is short, and fewer "
            f"--workers help; {_RESUME}"
        ) from error
    except OSError as error:
        raise OutputError(f"could not write {work}: {error.strerror or error}; {_RESUME}") from error


def _import(plan: ImportPlan, work: Path, workers: int) -> ImportResult:
    """Imports what is missing; the folder is then a whole dataset, apart from the records."""
    with closing(plan.open(work / _RECORDS)) as source:
        parts = _parts(_chosen(plan, source))
        missing = [part for part in parts if not part.is_whole(work)]
        count = sum(len(part.indices) for part in parts)
        with progress_bar(count, initial=count - sum(len(part.indices) for part in missing)) as bar:
            for part in _run(plan, source, work, missing, workers):
                bar.update(len(part.indices))
    reports = [_read_report(part, work) for part in parts]
    faults = [fault for report in reports for fault in report.faults]
    if faults and not plan.options.skip_invalid:
        refuse_faults(faults, str(plan.path), f"--skip-invalid leaves them out; {_RESUME}")
    photos = sum(report.photos for report in reports)
    if not photos:
        raise DatasetError(f"expected photos in {plan.path}, got none that could be imported")
    if faults:
        note(f"{plan.path}: left out {counted(len(faults), 'photo')}: {listed(faults)}")
    for part, report in zip(parts, reports, strict=True):
        if not report.photos:
            part.labels(work).unlink(missing_ok=True)
    sweep(work)
    title = plan.path.stem if plan.source == OWN_DATA else known_source(plan.source).title
    describe_dataset(work, _licences(plan), title)
    return ImportResult(photos, faults)


def _run(plan: ImportPlan, source: Source, work: Path, parts: Sequence[_Part], workers: int) -> Iterator[_Part]:
    """Imports parts; yields each that is finished."""
    if workers == 1 or len(parts) < 2:
        for part in parts:
            _import_part(plan, source, work, part)
            yield part
        return
    with ProcessPoolExecutor(min(workers, len(parts)), get_context("spawn")) as pool:
        futures = {pool.submit(_open_and_import_part, plan, work, part): part for part in parts}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _open_and_import_part(plan: ImportPlan, work: Path, part: _Part) -> None:
    _import_part(plan, _opened(plan, work / _RECORDS), work, part)


@lru_cache(maxsize=1)
def _opened(plan: ImportPlan, folder: Path) -> Source:
    """The source, opened once in each of the processes, which end with the import."""
    return plan.open(folder)


def _import_part(plan: ImportPlan, source: Source, work: Path, part: _Part) -> None:
    """Writes a part's photos and labels, and then the report that says so."""
    class_map = plan.read_map()
    faults: list[str] = []

    def rows() -> Iterator[ParquetRow]:
        for index in part.indices:
            try:
                yield _row(source.photo(index), plan, class_map, work)
            except (DatasetError, DecodeError) as error:
                faults.append(str(error))

    photos = write_labels(part.labels(work), rows())
    replace_file(part.report(work), json.dumps({"photos": photos, "faults": faults}).encode())


def _row(photo: SourcePhoto, plan: ImportPlan, class_map: ClassMap, work: Path) -> ParquetRow:
    room = photo.provenance.room
    found = photo.labels()
    if isinstance(found, Labels):
        labels = found
    else:
        labels = to_labels(found, class_map.meaning(room), class_map.labelled(frozenset(found.vocabulary)))
    labels = _with_room(labels, class_map, room)
    known = known_source(plan.source)
    provenance = replace(photo.provenance, source=photo.provenance.source or known.licence.source)
    return ParquetRow(photo.name, _place(photo, plan, work), labels, provenance)


def _with_room(labels: Labels, class_map: ClassMap, room: str) -> Labels:
    """The labels with what is known of the room; what the photo itself has or says is believed more."""
    drawn = {class_id for class_id in BY_ID if (labels.semantic == class_id).any()}
    own, rule = labels.scope, class_map.room_scope(room)
    known = LabelScope(absent=rule.absent - drawn - own.present, present=rule.present - own.absent)
    scope = merge_scopes(own, known)
    return replace(labels, scope=replace(scope, unlabelled=scope.unlabelled | (scope.present - drawn)))


def _place(photo: SourcePhoto, plan: ImportPlan, work: Path) -> str:
    """Puts the photo's file in its place; returns its path relative to the dataset."""
    data = photo.encoded()
    name = f"{PHOTOS}/{relative_path(photo.name)}{suffix_of(data)}"
    target = work / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # of a part that was interrupted
    if not plan.copy and isinstance(photo.photo, Path) and _linked(photo.photo, target):
        return name
    replace_file(target, data)
    return name


def _linked(photo: Path, target: Path) -> bool:
    try:
        os.link(photo.resolve(), target)
    except OSError:  # another file system, or one without hard links
        return False
    return True


def _chosen(plan: ImportPlan, source: Source) -> Sequence[int]:
    """The indices of the photos that are imported."""
    found: Sequence[int] = range(len(source))
    if plan.only:
        found = [index for index in found if _is_wanted(source, index, plan.only)]
    if not plan.limit or plan.limit >= len(found):
        return found
    return [found[index * len(found) // plan.limit] for index in range(plan.limit)]


def _is_wanted(source: Source, index: int, pattern: str) -> bool:
    try:
        return fnmatchcase(source.photo(index).name, pattern)
    except DatasetError:
        return True  # it becomes one of the faults


def _parts(indices: Sequence[int]) -> list[_Part]:
    starts = range(0, len(indices), PHOTOS_PER_PART)
    return [_Part(n, tuple(indices[start : start + PHOTOS_PER_PART])) for n, start in enumerate(starts)]


def _read_report(part: _Part, work: Path) -> ImportResult:
    return ImportResult(**json.loads(part.report(work).read_text("utf-8")))


def _keep_plan(path: Path, described: str) -> None:
    """Writes what is imported, or compares it with what was, before anything of it is used."""
    if path.is_file():
        if path.read_text("utf-8") != described:
            raise OutputError(
                f"expected {path.parents[1]} to be of this import, got one of another source, class map or options, or "
                "of files that have changed since: remove it, or write elsewhere"
            )
        return
    replace_file(path, described.encode())


def _index_files(path: Path) -> list[tuple[Path, os.stat_result]]:
    """The files that say what a source holds: the path itself, or the files directly in it and its folders' lists."""
    if path.is_file():
        return [(path, path.stat())]
    files = [*path.glob("*"), *path.glob("opensurfaces/*.json"), *path.glob("annotations/*.json")]
    return [(file, file.stat()) for file in sorted(files) if file.is_file()]


def _licences(plan: ImportPlan) -> tuple[Licence, ...]:
    """Of a known source; of another dataset, those that it states."""
    return licences_of(plan.path) if plan.source == OWN_DATA else (known_source(plan.source).licence,)
