"""Writes files so that they appear whole; results also together, and over nothing that is already there."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from surfaces.errors import OutputError

_TEMPORARY = re.compile(r"\.[0-9a-f]+\.tmp")


def make_folder(folder: Path) -> None:
    """Creates a folder for results and tries whether it can be written to.

    Args:
        folder: it and its parents are created where absent.

    Raises:
        OutputError: it can't be created, is not a folder, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as cleanup:
            _write_temporary(folder, b"", cleanup)
    except OSError as error:
        raise _output_error(folder, error) from error


def write_together(folder: Path, stems: Iterable[str], contents: Callable[[str], Mapping[str, bytes]]) -> list[Path]:
    """Writes several files under the first stem that is still free.

    All are written to temporary files of the same folder, then given their names, the first of them last: whoever
    sees it sees all. Names are given by hard links, which fail where the name is taken.

    Args:
        folder: an existing folder.
        stems: names without suffix, tried in this order.
        contents: called with a stem; returns what follows the stem (such as `.jpg`) and the bytes, for each file.

    Returns:
        The files' paths, in the order of `contents`.

    Raises:
        OutputError: they can't be written; none of them is left behind.
    """
    try:
        for stem in stems:
            paths = _try_stem(folder, {f"{stem}{suffix}": data for suffix, data in contents(stem).items()})
            if paths:
                return paths
    except OSError as error:
        raise _output_error(folder, error) from error
    raise OutputError(f"could not write to {folder}: all names are taken")


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file, over an older one of that name; its folder is created where absent.

    Raises:
        OutputError: the file system refuses; what was there is as it was.
    """
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to fill, which takes its name, over an older one, when the block ends well, and vanishes when it does not.

    A link of that name is replaced, never written through.

    Args:
        path: the file; its folder is created where absent.

    Raises:
        OutputError: the file system refuses; what was there is as it was.
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


def temporary_path(folder: Path) -> Path:
    """A path for a file that is not finished, which nobody can guess; `sweep` knows such names."""
    return folder / f".{uuid.uuid4().hex}.tmp"


def refuse_overwrite(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Stops a command before it writes over a file that it reads.

    Args:
        outputs: files that the command writes, and folders that it fills.
        inputs: files that it reads, and folders that it reads files of.

    Raises:
        OutputError: an output is an input (under any name: links are followed), a folder that holds an input, or a file
            that exists in a folder of `inputs`.
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


def _status(path: Path) -> os.stat_result | None:
    """The status of a file or folder; None where there is none."""
    try:
        return path.stat()
    except OSError:
        return None


def sweep(folder: Path) -> None:
    """Removes what `replace_file` left below a folder where it was killed; nobody else may be writing there.

    Links, which it never leaves, stay, and none is followed.
    """
    for path in folder.rglob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name) and is_plain_file(path):
            path.unlink(missing_ok=True)


def is_plain_file(path: Path) -> bool:
    """Whether there is a file of that name, and not a link to one."""
    return not path.is_symlink() and path.is_file()


def _try_stem(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Writes all files, or, where one of the names is taken, none and returns an empty list."""
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
    except OSError:  # FAT and some network folders know no links
        path.open("xb").close()
        try:
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise


def _output_error(folder: Path, error: OSError) -> OutputError:
    return OutputError(f"could not write to {folder}: {error.strerror or error}")
