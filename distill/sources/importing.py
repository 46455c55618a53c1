"""Imports a source as a Parquet dataset: in parts, by several processes, resumed where it was interrupted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
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
from surfaces.datasets.sample import Labels
from surfaces.errors import DatasetError, DecodeError, OutputError
from surfaces.images.encode import suffix_of
from surfaces.io.atomic_files import replace_file, sweep
from surfaces.io.local_files import relative_path
from surfaces.licences import Licence
from surfaces.messages import counted, listed

PHOTOS_PER_PART = 256
_PLAN = "import.json"
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
        return (
            shipped_map(known_source(self.source).class_map)
            if self.class_map is None
            else ClassMap.read(self.class_map)
        )

    def described(self, photos: int) -> str:
        """All that decides about the result, to compare with a run before."""
        values = {
            "source": self.source,
            "path": str(self.path.resolve()),
            "class_map": self.read_map().fingerprint,
            "skip_invalid": None,
            "images": str(self.options.images),
            "follow_links": self.options.follow_links,
            "copy": self.copy,
            "only": self.only,
            "limit": self.limit,
            "photos": photos,
        }
        return json.dumps(values, indent=1)


@dataclass(frozen=True)
class ImportResult:
    """How many photos were imported, and a line for each that was left out."""

    photos: int
    faults: list[str]


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
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = work.with_name(f".{work.name}.lock")
        with FileLock(lock, timeout=0):
            result = _import(plan, work, out, workers)
        lock.unlink(missing_ok=True)
        return result
    except Timeout as error:
        raise OutputError(f"expected to write {work} alone, got another import that does") from error
    except OSError as error:
        raise OutputError(f"could not write {work}: {error.strerror or error}; {_RESUME}") from error


def _import(plan: ImportPlan, work: Path, out: Path, workers: int) -> ImportResult:
    count = len(_chosen(plan, _open(plan, work)))
    _keep_plan(work / _PLAN, plan.described(count))
    parts = range(-(-count // PHOTOS_PER_PART))
    missing = [part for part in parts if not _report_file(work, part).is_file()]
    with progress_bar(count, initial=count - sum(_size(part, count) for part in missing)) as bar:
        for part in _run(plan, work, missing, workers):
            bar.update(_size(part, count))
    reports = [json.loads(_report_file(work, part).read_text("utf-8")) for part in parts]
    faults = [fault for report in reports for fault in report["faults"]]
    if faults and not plan.options.skip_invalid:
        refuse_faults(faults, str(plan.path), f"--skip-invalid leaves them out; {_RESUME}")
    photos = sum(report["photos"] for report in reports)
    if not photos:
        raise DatasetError(f"expected photos in {plan.path}, got none that could be imported")
    if faults:
        note(f"{plan.path}: left out {counted(len(faults), 'photo')}: {listed(faults)}")
    for part, report in zip(parts, reports, strict=True):
        if not report["photos"]:
            _labels_file(work, part).unlink()
        _report_file(work, part).unlink()
    sweep(work)
    for file in [work / _PLAN, *work.glob("*.sqlite")]:
        file.unlink()
    describe_dataset(work, _licences(plan), known_source(plan.source).title)
    work.rename(out)
    return ImportResult(photos, faults)


def _run(plan: ImportPlan, work: Path, parts: list[int], workers: int) -> Iterator[int]:
    """Imports parts; yields each that is finished."""
    if workers == 1 or len(parts) < 2:
        for part in parts:
            yield _import_part(plan, work, part)
        return
    with ProcessPoolExecutor(min(workers, len(parts)), get_context("spawn")) as pool:
        futures: list[Future[int]] = [pool.submit(_import_part, plan, work, part) for part in parts]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _import_part(plan: ImportPlan, work: Path, part: int) -> int:
    """Writes a part's photos and labels, and then the report that says so."""
    source = _open(plan, work)
    chosen = _chosen(plan, source)[part * PHOTOS_PER_PART : (part + 1) * PHOTOS_PER_PART]
    class_map = plan.read_map()
    faults: list[str] = []

    def rows() -> Iterator[ParquetRow]:
        for index in chosen:
            try:
                yield _row(source.photo(index), plan, class_map, work)
            except (DatasetError, DecodeError) as error:
                faults.append(str(error))

    photos = write_labels(_labels_file(work, part), rows())
    replace_file(_report_file(work, part), json.dumps({"photos": photos, "faults": faults}).encode())
    return part


def _row(photo: SourcePhoto, plan: ImportPlan, class_map: ClassMap, work: Path) -> ParquetRow:
    room = photo.provenance.room
    found = photo.labels()
    if isinstance(found, Labels):
        labels = found
    else:
        labels = to_labels(found, class_map.meaning(room), class_map.labelled(found.vocabulary))
    labels = _with_room(labels, class_map, room)
    known = known_source(plan.source)
    provenance = replace(photo.provenance, source=photo.provenance.source or known.licence.source)
    return ParquetRow(photo.name, _place(photo, plan, work), labels, provenance)


def _with_room(labels: Labels, class_map: ClassMap, room: str) -> Labels:
    """The labels with what is known of the room; what is drawn is believed more."""
    drawn = {class_id for class_id in BY_ID if (labels.semantic == class_id).any()}
    rule = class_map.room_scope(room)
    scope = merge_scopes(labels.scope, replace(rule, absent=rule.absent - drawn))
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


@lru_cache(maxsize=1)
def _open(plan: ImportPlan, work: Path) -> Source:
    """The source, opened once in each process."""
    options = plan.options
    if plan.source == OWN_DATA and plan.class_map:
        options = replace(options, targets=plan.read_map().targets())
    return known_source(plan.source).open(plan.path, work, options)


def _chosen(plan: ImportPlan, source: Source) -> Sequence[int]:
    """The indices of the photos that are imported."""
    found: Sequence[int] = range(len(source))
    if plan.only:
        found = [index for index in found if fnmatchcase(source.photo(index).name, plan.only)]
    if not plan.limit or plan.limit >= len(found):
        return found
    return [found[index * len(found) // plan.limit] for index in range(plan.limit)]


def _keep_plan(path: Path, described: str) -> None:
    """Writes what is imported, or compares it with what was."""
    if path.is_file():
        if path.read_text("utf-8") != described:
            raise OutputError(
                f"expected {path.parent} to be of this import, got one of another source, class map or options: "
                "remove it, or write elsewhere"
            )
        return
    replace_file(path, described.encode())


def _licences(plan: ImportPlan) -> tuple[Licence, ...]:
    """Of a known source; of another dataset, those that it states."""
    return licences_of(plan.path) if plan.source == OWN_DATA else (known_source(plan.source).licence,)


def _size(part: int, count: int) -> int:
    return min(PHOTOS_PER_PART, count - part * PHOTOS_PER_PART)


def _labels_file(work: Path, part: int) -> Path:
    return work / f"labels-{part:05d}.parquet"


def _report_file(work: Path, part: int) -> Path:
    return work / f"part-{part:05d}.json"
