"""Writes files and folders that appear whole or not at all, and never over a command's inputs."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from surfaces.errors import OutputError

_TEMPORARY = re.compile(r"\.[0-9a-f]+\.tmp")


def make_folder(folder: Path) -> None:
    """Creates a folder and its parents where absent; raises OutputError where that fails, or it is not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as cleanup:
            _write_temporary(folder, b"", cleanup)
    except OSError as error:
        raise _output_error(folder, error) from error


def write_together(folder: Path, stems: Iterable[str], contents: Callable[[str], Mapping[str, bytes]]) -> list[Path]:
    """Writes several files under the first free stem; all of them or, on an error, none.

    All are written to temporary files of the same folder, then named by hard links, which fail where a name is taken.
    The first is named last: where it exists, all exist.

    Args:
        folder: an existing folder.
        stems: file names without suffix, in the order in which they are tried.
        contents: from a stem to the bytes by suffix (such as `.jpg`).

    Returns:
        The files' paths, in the order of `contents`.

    Raises:
        OutputError: they cannot be written.
    """
    try:
        for stem in stems:
            paths = _try_stem(folder, {f"{stem}{suffix}": data for suffix, data in contents(stem).items()})
            if paths:
                return paths
    except OSError as error:
        raise _output_error(folder, error) from error
    raise OutputError(f"could not write to {folder}: all names are taken")


def replace_together(folder: Path, stem: str, contents: Mapping[str, bytes]) -> list[Path]:
    """Writes several files, by suffix, that may replace others; each appears whole, the first at the end.

    The folder is created where absent. Returns their paths. Raises OutputError; then some may be replaced.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as cleanup:
            temporary = {
                folder / f"{stem}{suffix}": _write_temporary(folder, data, cleanup) for suffix, data in contents.items()
            }
            for path in reversed(temporary):
                temporary[path].replace(path)
    except OSError as error:
        raise _output_error(folder, error) from error
    return list(temporary)


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file atomically; arguments and errors as of `replacing`."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file that replaces `path` when the block ends, and is removed on an exception.

    Its folder is created where absent. A link is replaced, not followed. Raises OutputError where the file system
    refuses; the old file is unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as cleanup:
            temporary = temporary_path(path.parent)
            cleanup.callback(temporary.unlink, missing_ok=True)
            with temporary.open("xb") as file:
                yield file
            temporary.replace(path)
    except OSError as error:
        raise OutputError(f"could not write {path}: {error.strerror or error}") from error


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder that is renamed to `folder` when the block ends, and is removed on an exception.

    Raises OutputError where the folder exists, or the file system refuses.
    """
    if folder.exists():
        raise OutputError(f"expected a new folder to write to, got {folder}, which exists")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            yield partial
            partial.chmod(0o755)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"expected to write to {folder}, got: {error.strerror}") from error


def temporary_path(folder: Path) -> Path:
    """An unpredictable path for an unfinished file; `sweep` recognises such names."""
    return folder / f".{uuid.uuid4().hex}.tmp"


def sweep(folder: Path) -> None:
    """Removes temporary files that killed processes left below a folder; no other process may be writing there."""
    for path in folder.rglob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name) and is_plain_file(path):
            path.unlink(missing_ok=True)


def is_plain_file(path: Path) -> bool:
    """Whether a path is a file, and not a link to one."""
    return not path.is_symlink() and path.is_file()


def refuse_overwrite(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuses outputs (files, folders) that would overwrite an input (a file, or one of a folder's), links followed.

    Raises OutputError where an output is an input, a folder that contains one, or an existing file in one.
    """
    read = {path.resolve() for path in inputs}
    folders = {folder for path in read for folder in path.parents}
    files = {(status.st_dev, status.st_ino) for status in map(_status, read) if status}
    for output in outputs:
        path = output.resolve()
        status = _status(path)
        exists_among_inputs = status is not None and path.parent in read
        is_input = path in read or (status is not None and (status.st_dev, status.st_ino) in files)
        if is_input or path in folders or exists_among_inputs:
            raise OutputError(f"expected an output that overwrites no input, got {output}: choose another name")


def require_outside(output: Path, inputs: Iterable[Path]) -> None:
    """Raises OutputError for an output, which need not exist, that is an input or inside one, links followed."""
    places = [place for place in (output.resolve(), *output.resolve().parents) if place.exists()]
    for source in inputs:
        if source.exists() and any(place.samefile(source) for place in places):
            raise OutputError(f"expected an output outside of the input {source}, got {output}")


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _try_stem(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Writes all files and returns their paths; none where one of the names is taken."""
    with ExitStack() as cleanup, ExitStack() as rollback:
        temporary = {folder / name: _write_temporary(folder, data, cleanup) for name, data in contents.items()}
        for path in reversed(temporary):
            try:
                _give_name(temporary[path], path)
            except FileExistsError:
                return []
            rollback.callback(path.unlink, missing_ok=True)
        rollback.pop_all()
        return list(temporary)


def _write_temporary(folder: Path, data: bytes, cleanup: ExitStack) -> Path:
    path = temporary_path(folder)
    cleanup.callback(path.unlink, missing_ok=True)
    with path.open("xb") as file:
        file.write(data)
    return path


def _give_name(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # FAT and some network file systems have no hard links
        path.open("xb").close()
        try:
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise


def _output_error(folder: Path, error: OSError) -> OutputError:
    return OutputError(f"could not write to {folder}: {error.strerror or error}")
