"""`dataset.toml`: which classes a dataset labels, and image-level labels of its photos."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import reduce
from pathlib import Path
from typing import Any

from surfaces.classes import BY_NAME
from surfaces.cli.settings_files import read_toml, unknown_name
from surfaces.datasets.label_stores import is_label_store
from surfaces.datasets.reading import note
from surfaces.datasets.sample import ALL_LABELLED, Labels, LabelScope, Sample, WrappedSample
from surfaces.errors import DatasetError, SurfacesError
from surfaces.io.atomic_files import replace_file
from surfaces.io.local_files import read_text
from surfaces.licences import NOT_STATED, Licence, merged, to_toml

DESCRIPTION_NAME = "dataset.toml"

_CLASS_KEYS = ("labelled", "absent", "present")


@dataclass(frozen=True)
class PhotoRule:
    """An entry of `[[photos]]`: what is known of the photos that it matches.

    Attributes:
        names: shell patterns (`fnmatch`) of the samples' names; empty: all.
        where: values of columns of the manifest.
        scope: what it adds.
    """

    names: tuple[str, ...]
    where: dict[str, str]
    scope: LabelScope

    def matches(self, name: str, row: Mapping[str, str]) -> bool:
        """Whether it applies to a sample with a row of the manifest."""
        return (not self.names or any(fnmatchcase(name, pattern) for pattern in self.names)) and all(
            row.get(column) == value for column, value in self.where.items()
        )


@dataclass(frozen=True, eq=False)
class DescribedSample(WrappedSample):
    """A sample whose dataset is described by a `dataset.toml`."""

    scope: LabelScope

    def labels(self) -> Labels:
        """The sample's labels with their scope.

        Raises:
            DatasetError: as of the sample; or a class is labelled that the description calls absent.
        """
        labels = self.sample.labels()
        scope = merge_scopes(labels.scope, self.scope)
        for surface in BY_NAME.values():
            drawn = bool((labels.semantic == surface.coco_id).any())
            if drawn and surface.coco_id in scope.absent:
                raise DatasetError(f"expected no {surface.name} in {self.name} ({DESCRIPTION_NAME}), got one labelled")
            if not drawn and surface.coco_id in self.scope.present:
                scope = replace(scope, unlabelled=scope.unlabelled | {surface.coco_id})
        return replace(labels, scope=scope)


def merge_scopes(one: LabelScope, other: LabelScope) -> LabelScope:
    """What both say; a class that is known to be absent needs no labels."""
    absent = one.absent | other.absent
    return LabelScope((one.unlabelled | other.unlabelled) - absent, absent, one.present | other.present)


@dataclass(frozen=True)
class Description:
    """A `dataset.toml`.

    Attributes:
        path: the file.
        base: what it says of all photos.
        rules: what it says of some.
        rows: of its manifest, by the photos' names.
    """

    path: Path
    base: LabelScope
    rules: tuple[PhotoRule, ...]
    rows: Mapping[str, Mapping[str, str]]

    def scopes(self, photos: Iterable[tuple[str, Mapping[str, str]]], is_part: bool = False) -> list[LabelScope]:
        """What it says of each photo, given by its name and by columns besides those of the manifest.

        Args:
            photos: names and columns.
            is_part: whether they may be a part of those that it describes: a rule without photos is a note, no error.

        Raises:
            DatasetError: a class is absent from a photo and present, or a rule matches no photo.
        """
        scopes: list[LabelScope] = []
        used: set[int] = set()
        for name, columns in photos:
            row = {**self.rows.get(name, {}), **columns}
            matching = [index for index, rule in enumerate(self.rules) if rule.matches(name, row)]
            used.update(matching)
            scope = reduce(merge_scopes, (self.rules[index].scope for index in matching), self.base)
            if conflict := scope.absent & scope.present:
                names = ", ".join(name for name, surface in BY_NAME.items() if surface.coco_id in conflict)
                raise DatasetError(f"{self.path}: expected {names} to be absent from {name} or present, got both")
            scopes.append(scope)
        for index, rule in enumerate(self.rules):
            if index not in used:
                wanted = ", ".join([*rule.names, *(f"{column} = {value}" for column, value in rule.where.items())])
                message = f"{self.path}: expected photos that match entry {index + 1} of `photos` ({wanted}), got none"
                if not is_part:
                    raise DatasetError(message)
                note(message)
        return scopes


def read_description(folder: Path, has_rows: bool = False) -> Description | None:
    """A folder's `dataset.toml`; None where there is none.

    Args:
        folder: of the dataset or corpus.
        has_rows: whether its photos have columns even if it names no `manifest`.

    Raises:
        DatasetError: the file or its manifest is not as expected.
    """
    path = folder / DESCRIPTION_NAME
    if not path.exists():
        return None
    try:
        values = read_toml(path)
        base, rules = _dataset_scope(values), _rules(values, has_rows or "manifest" in values)
        return Description(
            path, base, rules, _read_manifest(folder / values["manifest"]) if "manifest" in values else {}
        )
    except SurfacesError as error:
        raise DatasetError(f"{path}: {error}") from error


def describe(samples: Sequence[Sample], folder: Path) -> list[Sample]:
    """The samples with what the folder's `dataset.toml` says of them; unchanged where there is none.

    Raises:
        DatasetError: the file or its manifest is not as expected, or matches no photo where it should.
    """
    description = read_description(folder)
    if description is None:
        return list(samples)
    scopes = description.scopes((sample.name, {}) for sample in samples)
    return [
        sample if scope == ALL_LABELLED else DescribedSample(sample, scope)
        for sample, scope in zip(samples, scopes, strict=True)
    ]


def licences_of(path: Path) -> tuple[Licence, ...]:
    """What a dataset is made of, as the `sources` of its `dataset.toml` say, else the records of its label store.

    `NOT_STATED` where nothing does.

    Raises:
        DatasetError: the file or the store is not as expected.
    """
    return sources_of(path if path.is_dir() else path.parent) or _recorded_in_store(path) or (NOT_STATED,)


def sources_of(folder: Path) -> tuple[Licence, ...]:
    """The `sources` of a folder's `dataset.toml`; empty where it has none. Raises DatasetError as `licences_of`."""
    file = folder / DESCRIPTION_NAME
    if not file.exists():
        return ()
    try:
        entries = read_toml(file).get("sources", [])
        if not isinstance(entries, list):
            raise DatasetError(f"expected `sources` to be tables `[[sources]]`, got {entries!r}")
        return merged(map(Licence.parse, entries))
    except SurfacesError as error:
        raise DatasetError(f"{file}: {error}") from error


def add_sources(folder: Path, licences: Iterable[Licence]) -> None:
    """Adds `sources` to the `dataset.toml` of a dataset that was just written; it is created where absent."""
    file = folder / DESCRIPTION_NAME
    before = f"{file.read_text('utf-8').rstrip()}\n\n" if file.is_file() else ""
    replace_file(file, (before + to_toml(merged(licences))).encode())


def _recorded_in_store(path: Path) -> tuple[Licence, ...]:
    if not is_label_store(path):
        return ()
    from surfaces.store.label_store import LabelStore  # which imports this package

    with LabelStore.open(path) as store:
        return store.licences()


def _dataset_scope(values: dict[str, Any]) -> LabelScope:
    _require_keys(values, (*_CLASS_KEYS, "manifest", "photos", "sources"))
    if not isinstance(values.get("manifest", ""), str):
        raise DatasetError(f"expected `manifest` to be the name of a CSV file, got {values['manifest']!r}")
    return _scope(values)


def _rules(values: dict[str, Any], has_rows: bool) -> tuple[PhotoRule, ...]:
    entries = values.get("photos", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DatasetError(f"expected `photos` to be tables `[[photos]]`, got {entries!r}")
    return tuple(_rule(entry, has_rows) for entry in entries)


def _rule(entry: dict[str, Any], has_rows: bool) -> PhotoRule:
    _require_keys(entry, (*_CLASS_KEYS, "names", "where"))
    where = entry.get("where", {})
    if not isinstance(where, dict) or not all(isinstance(value, str) for value in where.values()):
        raise DatasetError(f"expected `where` to be columns with their values as text, got {where!r}")
    if where and not has_rows:
        raise DatasetError("expected a `manifest` for `where`, got none")
    if not where and "names" not in entry:
        raise DatasetError("expected `names` or `where` in each entry of `photos`, got neither")
    return PhotoRule(_texts(entry, "names"), where, _scope(entry))


def _scope(values: dict[str, Any]) -> LabelScope:
    labelled, absent, present = (_class_ids(values, key) if key in values else None for key in _CLASS_KEYS)
    unlabelled = {surface.coco_id for surface in BY_NAME.values()} - labelled if labelled is not None else frozenset()
    return LabelScope(frozenset(unlabelled) - (absent or frozenset()), absent or frozenset(), present or frozenset())


def _class_ids(values: dict[str, Any], key: str) -> frozenset[int]:
    names = _texts(values, key)
    for name in names:
        if name not in BY_NAME:
            raise DatasetError(f"{unknown_name('class', name, BY_NAME)} (in `{key}`)")
    return frozenset(BY_NAME[name].coco_id for name in names)


def _texts(values: dict[str, Any], key: str) -> tuple[str, ...]:
    texts = values.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DatasetError(f"expected `{key}` to be a list of texts, got {texts!r}")
    return tuple(texts)


def _require_keys(values: dict[str, Any], known: Sequence[str]) -> None:
    for key in values:
        if key not in known:
            raise DatasetError(unknown_name("key", key, known))


def _read_manifest(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a CSV file by their column `name`."""
    try:
        rows = list(csv.DictReader(read_text(path).splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"expected a CSV file at {path}, got: {error}") from error
    if not rows or "name" not in rows[0]:
        raise DatasetError(f"expected a CSV file with a column `name` at {path}, got another")
    return {row["name"]: row for row in rows}
