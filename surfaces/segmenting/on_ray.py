"""Segments many photos on a Ray cluster: Parquet files with a row per photo, its JSON and masks as RLE in it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from surfaces.cli.progress import progress_bar, write_line
from surfaces.cluster.ray_pool import ClusterSettings, WorkerPool, connected
from surfaces.cluster.run_lock import only_run
from surfaces.detections import Image
from surfaces.errors import DatasetError, DecodeError, FetchError, MissingExtraError, OutputError
from surfaces.images.load import decode_image
from surfaces.io.photo_lists import LINK_OUTSIDE, corpora_around, leaves_corpus
from surfaces.io.storage import find_files, is_remote, local_path, read_bytes, remove_file, write_bytes
from surfaces.messages import encodable, without_credentials
from surfaces.segmenting import pipeline
from surfaces.segmenting.pipeline import Predictor, Settings

RESULTS = "surfaces"
"""The folder of the files, in the results' folder."""

_NAME = re.compile(r"[0-9]{7}\.parquet")
_COLUMNS = ("source", "width", "height", "json", "error")
_BYTES_MAX = 2**31


@dataclass(frozen=True)
class Part:
    """A slice of the photos: its number, from 0, and their sources."""

    number: int
    sources: tuple[str, ...]


@dataclass(frozen=True)
class ResultFiles:
    """The Parquet files of a run; `options` are those that results depend on, besides the network."""

    place: str
    options: str

    def path(self, part: Part) -> str:
        """Path or address of a part's file."""
        return f"{self.place.rstrip('/')}/{part.number:07d}.parquet"

    def header(self, part: Part, model: str) -> dict[bytes, bytes]:
        """What a part's file is for; `model` is the SHA-256 of the weights."""
        sources = json.dumps([model, self.options, part.sources])
        return {b"results": hashlib.sha256(sources.encode("utf-8", "surrogatepass")).hexdigest().encode()}

    def write(self, part: Part, model: str, rows: Sequence[dict[str, Any]]) -> None:
        """Writes a part's file, whole or not at all. Raises OutputError."""
        arrow, parquet = _pyarrow()
        kinds = {"width": arrow.int32(), "height": arrow.int32()}
        schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in _COLUMNS])
        table = arrow.Table.from_pylist(rows, schema.with_metadata(self.header(part, model)))
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        write_bytes(self.path(part), buffer.getvalue())

    def remove_others(self, parts: Sequence[Part]) -> None:
        """Removes the files of earlier runs with other photos, or more of them a file. Raises OutputError."""
        ours = {self.path(part) for part in parts}
        for path in find_files(self.place, "*.parquet"):
            if path not in ours and _NAME.fullmatch(PurePosixPath(path).name):
                remove_file(path)

    def failures(self, part: Part, model: str) -> int | None:
        """The number of failed photos in a part's file; None where it is absent, damaged, or for something else."""
        _, parquet = _pyarrow()
        try:
            data = io.BytesIO(read_bytes(self.path(part), _BYTES_MAX))
            table = parquet.read_table(data, page_checksum_verification=True)
            found = (table.schema.metadata or {}).get(b"results")
            if found != self.header(part, model)[b"results"]:
                return None
            return len(part.sources) - int(table.column("error").null_count)
        except (FetchError, OSError, ValueError, KeyError):  # pyarrow's errors are of these classes
            return None


class SegmentWorker:
    """Segments parts in a process of the cluster; errors as of `open_predictor`."""

    def __init__(self, open_predictor: Callable[[], Predictor], settings: Settings, files: ResultFiles) -> None:
        self._predictor, self._settings, self._files = open_predictor(), settings, files
        self.identity = self._predictor.sha256

    def work(self, item: Part) -> int:
        """Segments a part's photos, and writes its file; the number of photos that failed."""
        rows = [self._row(source) for source in item.sources]
        self._files.write(item, self.identity, rows)
        return sum(row["error"] is not None for row in rows)

    def _row(self, source: str) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(_COLUMNS) | {"source": encodable(without_credentials(source))}
        try:
            image = self._load(source)
        except (FetchError, DecodeError) as error:
            return row | {"error": str(error)}
        found = pipeline.find_segments(image, self._predictor, self._settings.classes, self._settings.min_score)
        height, width = image.shape[:2]
        described = pipeline.describe(row["source"], None, (height, width), found.detections, self._predictor)
        return row | {"width": width, "height": height, "json": json.dumps(described, ensure_ascii=False)}

    def _load(self, source: str) -> Image:
        if not is_remote(source) or source.lower().startswith(("http://", "https://")):
            return pipeline.load_photo(source, self._settings)
        limits = self._settings.image_limits
        return decode_image(io.BytesIO(read_bytes(source, limits.bytes_max)), limits)


def segment_on_ray(
    sources: Sequence[str],
    open_predictor: Callable[[], Predictor],
    settings: Settings,
    cluster: ClusterSettings,
    part_size: int,
    network: Mapping[str, Any],
    quiet: bool,
) -> int:
    """Segments photos into a folder's `surfaces/*.parquet`.

    Finished parts of an earlier run are skipped, unless photos of theirs failed; parts of other photos are removed.

    A part whose worker died three times is left out, and reported.

    Args:
        sources: URLs or paths of photos.
        open_predictor: opens the network in a worker; it is sent there by name.
        settings: folder, classes, minimum score, and limits.
        cluster: where, and what a worker takes.
        part_size: photos per file.
        network: its options, on which the results depend.
        quiet: shows no progress bar, and reports no dead workers.

    Returns:
        The number of photos that failed.

    Raises:
        OutputError: a file cannot be written, or another run writes to the folder.
        Further errors as of `connected`, `WorkerPool` and `open_predictor`.
    """
    options = json.dumps([sorted(surface.name for surface in settings.classes), settings.min_score, dict(network)])
    files = ResultFiles(str(settings.folder.absolute() / RESULTS), options)
    parts = [
        Part(number, tuple(sources[start : start + part_size]))
        for number, start in enumerate(range(0, len(sources), part_size))
    ]
    failures = 0
    with only_run(settings.folder), connected(cluster.address) as ray, progress_bar(len(sources), quiet=quiet) as bar:
        make = partial(SegmentWorker, open_predictor, settings, files)
        note = (lambda _: None) if quiet else write_line
        pool: WorkerPool[Part, int] = WorkerPool(ray, make, cluster, len(parts), note)
        try:
            model = pool.identity()
            unfinished = [part for part in parts if files.failures(part, model) != 0]
            bar.update(len(sources) - sum(len(part.sources) for part in unfinished))
            for done in pool.run(unfinished, lambda: False):
                if done.lost:
                    write_line(f"{files.path(done.item)}: every worker died on it; see Ray's logs")
                elif files.failures(done.item, model) is None:
                    raise OutputError(f"expected {files.path(done.item)}, which a worker wrote, to be readable here")
                failures += len(done.item.sources) if done.result is None else done.result
                bar.update(len(done.item.sources))
            files.remove_others(parts)
        finally:
            pool.close()
    return failures


def read_manifest(path: Path) -> list[str]:
    """The photos of a Parquet file with a column `path`: URLs, or files, relative to its folder.

    Raises:
        DatasetError: it cannot be read, or has no photos, or a path is none or leaves the corpus of a crawl.
        MissingExtraError: pyarrow is not installed.
    """
    _, parquet = _pyarrow()
    try:
        paths = parquet.read_table(path, columns=["path"]).column("path").to_pylist()
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise DatasetError(f"expected Parquet with a column `path` in {path}, got: {reason}") from error
    folder = os.path.abspath(path.parent)  # noqa: PTH100  (links stay as they are)
    corpora = corpora_around(folder)
    sources = []
    for number, entry in enumerate(paths, 1):
        if not isinstance(entry, str) or not entry:
            raise DatasetError(f"expected a path in row {number} of {path}, got none")
        place = local_path(entry)
        if not is_remote(place):
            place = os.path.join(folder, place)  # noqa: PTH118
            if leaves_corpus(place, corpora):
                raise DatasetError(f"row {number} of {path}: {LINK_OUTSIDE}")
        sources.append(place)
    if not sources:
        raise DatasetError(f"expected photos in {path}, got none")
    return sources


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("expected pyarrow for Parquet, install interior-surfaces[ray]") from error
    return pyarrow, parquet
