"""TOML files that users write: read, checked against a pydantic model, every error in one line."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from surfaces.errors import SurfacesError
from surfaces.io.local_files import read_text
from surfaces.messages import brief

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound="BaseModel")

_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a table",
    "float_type": "a number",
    "list_type": "a list",
    "model_type": "a table",
    "string_type": "text",
    "tuple_type": "a list",
}


class SettingsError(SurfacesError):
    """A key, a value or a name in settings is not as expected."""

    exit_code = 11


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file; raises SettingsError where there is no such file, or it is not TOML."""
    try:
        return tomllib.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise SettingsError(f"expected a TOML file at {path}: {error}") from error


def validate(model: type[Model], values: Mapping[str, Any], source: str) -> Model:
    """Checks the content of a file, or one of its tables, against a model with the same keys; nested models are tables.

    Raises SettingsError, which begins with `source`, for the first unknown or absent key or unexpected value.
    """
    from pydantic import ValidationError  # only who reads such a file needs the package

    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"{source}: {_first_error(error, model)}") from None


def unknown_name(kind: str, name: str, known: Collection[str]) -> str:
    """An error message for an unknown name, with the nearest known one or all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of: {', '.join(known)}"
    return f"unknown {kind} {name!r}; {hint}"


def _first_error(errors: ValidationError, model: Any) -> str:
    error = errors.errors(include_url=False)[0]
    kind, value = error["type"], error["input"]
    key: int | str = ""
    tables: list[int | str] = []
    for key in error["loc"]:
        field = model.model_fields.get(key)
        if field is None or not hasattr(field.annotation, "model_fields"):
            break
        tables.append(key)
        model = field.annotation
    table = f"[{'.'.join(map(str, tables))}]"
    place = table if len(tables) == len(error["loc"]) else f"`{key}` in {table}" if tables else f"`{key}`"
    if kind == "extra_forbidden":
        return unknown_name("key", str(key), sorted(model.model_fields)) + (f" (in {table})" if tables else "")
    if kind == "missing":
        return f"expected {place}, got none"
    if kind == "value_error":
        return str(error["ctx"]["error"]) + (f" (in {place})" if error["loc"] else "")
    expected = _EXPECTED.get(kind) or error["msg"].removeprefix("Input should be ")
    return f"expected {place} to be {expected}, got {brief(value)}"
