"""File names of results: `{surname}_{name}__{time}`."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from surfaces.errors import SurfacesError
from surfaces.io.local_files import read_text

ENVIRONMENT = {"surname": "INTERIOR_SURFACES_SURNAME", "name": "INTERIOR_SURFACES_NAME"}
SETTINGS_FILE = "interior-surfaces.toml"
_PART_BYTES_MAX = 64


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
