"""File names of results: `{surname}_{name}__{time}`, or by the photo's own name: `{photo}.surfaces`."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from surfaces.errors import FetchError, OutputError, SurfacesError
from surfaces.io.local_files import read_text
from surfaces.io.storage import local_path

ENVIRONMENT = {"surname": "INTERIOR_SURFACES_SURNAME", "name": "INTERIOR_SURFACES_NAME"}
SETTINGS_FILE = "interior-surfaces.toml"
RESULT_ENDING = ".surfaces"
"""Ends the names of results that are named by their photo, before the suffix."""

_PART_BYTES_MAX = 64
_FILE_NAME_BYTES_MAX = 180
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]')
_SUFFIX_BYTES_MAX = 10
_DEPTH_MAX = 8
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # on Windows


@dataclass(frozen=True)
class Signature:
    """The first two parts of the results' names, safe for file names."""

    surname: str = "interior"
    name: str = "surfaces"


def resolve_signature(
    surname: str | None, name: str | None, environment: Mapping[str, str], settings_files: Sequence[Path]
) -> Signature:
    """Reads the signature from options, else from the environment, else from TOML files in order of precedence.

    Parts are made safe for file names; where nothing remains of a part, the next source is used. Raises SurfacesError
    where a settings file cannot be read, or a value is no text.
    """
    signature = {"surname": Signature.surname, "name": Signature.name}
    for settings in [
        *map(_read_settings, reversed(settings_files)),
        {part: environment.get(variable) for part, variable in ENVIRONMENT.items()},
        {"surname": surname, "name": name},
    ]:
        signature |= {part: safe for part in signature if (safe := safe_part(settings.get(part) or ""))}
    return Signature(**signature)


def safe_part(text: str) -> str:
    """Converts any text to a part of a file name, at most 64 bytes of UTF-8; may be empty.

    Letters, marks and digits of every script are kept; other characters become hyphens, so that the name is valid on
    every system, stays in its folder, is not hidden, and cannot be taken for an option or for the `_` between parts.
    """
    kept = (c if unicodedata.category(c)[0] in "LMN" else "-" for c in unicodedata.normalize("NFC", text))
    part = re.sub("-+", "-", "".join(kept)).strip("-")
    return part.encode()[:_PART_BYTES_MAX].decode(errors="ignore").strip("-")


def stems(signature: Signature, start: datetime) -> Iterator[str]:
    """Names without suffix, one per microsecond, such as `interior_surfaces__2026-11-22T21-10-05.123456`."""
    while True:
        yield f"{signature.surname}_{signature.name}__{start:%Y-%m-%dT%H-%M-%S.%f}"
        start += timedelta(microseconds=1)


def names_by_source(sources: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    """A name for the results of each photo: its own path, mirrored below the folder of results.

    `a/room.jpg` becomes `a/room.surfaces`. Of absolute paths and paths with `..` the file's name is left, or the path
    below the folder that was given, with that folder's name; of URLs host and path. Where names would be the same, also
    on file systems that ignore case, they keep the photo's suffix, else get a number.

    Args:
        sources: photos (paths or URLs), each with the folder that was given in its place, if one was.

    Returns:
        Relative paths without suffix, with `/` between their parts, by photo.
    """
    paths = {source: _mirrored(source, folder) for source, folder in sources}
    plain = Counter(_folded(path.with_suffix("")) for path in paths.values())
    names: dict[str, str] = {}
    taken: set[str] = set()
    for source, path in paths.items():
        alone = path.with_suffix("") if plain[_folded(path.with_suffix(""))] == 1 else path
        name, number = str(alone), 1
        while _folded(name) in taken:
            number += 1
            name = f"{alone}-{number}"
        taken.add(_folded(name))
        names[source] = f"{name}{RESULT_ENDING}"
    return names


def refuse_photos(folder: Path, names: Mapping[str, str], ending: str = RESULT_ENDING) -> None:
    """Raises OutputError where a result of a photo would overwrite another photo.

    Args:
        folder: of the results.
        names: of the results by photo, as `names_by_source` makes them.
        ending: what all names of results have before their suffix.
    """
    photos = [Path(source).resolve() for source in map(_local, names) if source and ending in source]
    for name in names.values() if photos else ():
        place = (folder / name).resolve()
        for photo in photos:
            if photo.parent == place.parent and photo.name.startswith((f"{place.name}.", f"{place.name}_")):
                raise OutputError(f"expected results that overwrite no photo, got {photo}: choose another folder")


def _local(source: str) -> str | None:
    try:
        path = local_path(source)
    except FetchError:
        return None
    return None if "://" in path or "\0" in path else path


def _mirrored(source: str, folder: str | None) -> PurePosixPath:
    """The relative path, of safe parts, that stands for a photo."""
    try:
        path = local_path(source)
    except FetchError:  # reported when the photo is opened
        path = source
    if "://" in path:
        parts: Sequence[str] = _parts_of_url(path)
    elif not Path(path).is_absolute() and ".." not in Path(path).parts:
        parts = Path(path).parts
    elif folder is None:
        parts = [Path(path).name]
    else:
        root = Path(local_path(folder) or folder)
        parts = [root.resolve().name, *Path(path).relative_to(root).parts]
    return PurePosixPath(*[part for part in map(_safe_file_name, parts[-_DEPTH_MAX:]) if part] or ["photo"])


def _parts_of_url(url: str) -> list[str]:
    """Host and path; a query, which may decide which photo it is, adds a part of its hash to the last one."""
    address, mark, query = url.partition("#")[0].partition("://")[2].partition("?")
    authority, _, path = address.partition("/")
    *folders, last = unquote(path).split("/")
    if mark:
        stem, dot, suffix = last.rpartition(".")
        last = f"{stem if dot else suffix}-{hashlib.sha256(query.encode(errors='replace')).hexdigest()[:8]}"
        last += f".{suffix}" if dot else ""
    return [authority.rpartition("@")[2], *folders, last]


def _safe_file_name(text: str) -> str:
    """A part of a path as a name that is valid on every system and not hidden; may be empty."""
    printable = "".join(sign if sign.isprintable() else "-" for sign in unicodedata.normalize("NFC", text))
    name = _UNSAFE.sub("-", printable).lstrip(".").rstrip(". ")
    stem, suffix = os.path.splitext(name)  # noqa: PTH122, since a path would take it for a name in a folder
    if len(suffix.encode()) > _SUFFIX_BYTES_MAX:
        stem, suffix = name, ""
    stem = stem.encode()[:_FILE_NAME_BYTES_MAX].decode(errors="ignore").rstrip(". ")
    return ("_" if _RESERVED.fullmatch(name) else "") + stem + suffix


def _folded(name: str | PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(name)).casefold()


def _read_settings(path: Path) -> dict[str, Any]:
    """The whole of the settings file, or the project's table of pyproject.toml."""
    try:
        content = tomllib.loads(read_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SurfacesError(f"expected settings in TOML in {path}, got: {error}") from error
    settings = content if path.name == SETTINGS_FILE else content.get("tool", {}).get("interior-surfaces", {})
    for part in ENVIRONMENT:
        if not isinstance(settings.get(part, ""), str):
            raise SurfacesError(f"expected text for `{part}` in {path}, got {settings[part]!r}")
    return settings
