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
_RESULT = re.compile(r"_.+__\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}")


@dataclass(frozen=True)
class Signature:
    """Who signs the pictures, as it stands in their names.

    Attributes:
        surname: safe for file names.
        name: safe for file names.
    """

    surname: str = "interior"
    name: str = "surfaces"


def resolve_signature(
    surname: str | None, name: str | None, environment: Mapping[str, str], settings_files: Sequence[Path]
) -> Signature:
    """Finds who signs: an option, else the environment, else a settings file, else the default.

    Args:
        surname: as given by an option, or None.
        name: as given by an option, or None.
        environment: where `INTERIOR_SURFACES_SURNAME` and `INTERIOR_SURFACES_NAME` may stand.
        settings_files: TOML files, the most important first; those that don't exist are passed over.

    Returns:
        The signature, each part made safe for file names; a part of which nothing is left counts as not given.

    Raises:
        SurfacesError: a settings file can't be read, or holds something other than text.
    """
    from_environment = {part: environment.get(variable) for part, variable in ENVIRONMENT.items()}
    # Read last to first, so that what is more important wins.
    signature = {"surname": Signature.surname, "name": Signature.name}
    for settings in [
        *map(_read_settings, reversed(settings_files)),
        from_environment,
        {"surname": surname, "name": name},
    ]:
        signature |= {part: safe for part in signature if (safe := safe_part(settings.get(part) or ""))}
    return Signature(**signature)


def safe_part(text: str) -> str:
    """The part of a file name that any text gives.

    Letters, marks and digits of every script stay; all else becomes a hyphen, so that the result is legal on every
    system, can't leave its folder, isn't hidden and can't be taken for an option or for the `_` between two parts.

    Args:
        text: anything.

    Returns:
        At most 64 bytes of UTF-8; empty where nothing can be kept.
    """
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in unicodedata.normalize("NFC", text))
    joined = "-".join("".join(kept).split(" ")).strip("-")
    while "--" in joined:
        joined = joined.replace("--", "-")
    return joined.encode()[:_PART_BYTES_MAX].decode(errors="ignore").strip("-")


def is_result(name: str) -> bool:
    """Whether a file is called as `stems` call results: a picture of ours, or a mask beside it."""
    return _RESULT.search(name) is not None


def stems(signature: Signature, start: datetime) -> Iterator[str]:
    """Names without suffix, one a microsecond; the first that is still free is to be taken.

    Args:
        signature: who signs.
        start: the time of the first.

    Yields:
        Such as `interior_surfaces__2026-11-22T21-10-05.123456`.
    """
    while True:
        yield f"{signature.surname}_{signature.name}__{start:%Y-%m-%dT%H-%M-%S.%f}"
        start += timedelta(microseconds=1)


def _read_settings(path: Path) -> dict[str, Any]:
    """The project's table of pyproject.toml, or the whole of the settings file."""
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
