"""Label stores that others made: SQLite keeps any value in any column."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autolabel.__main__ import main
from surfaces.errors import DatasetError, SurfacesError
from surfaces.store.label_store import LabelStore, Source
from tests.autolabel.label_stores import rooms_store

pytestmark = pytest.mark.security

DAMAGED = {
    "a_class_unknown": ("segments", "class", "sofa"),
    "a_score_of_text": ("segments", "score", "much"),
    "an_infinite_score": ("segments", "score", float("inf")),
    "a_corner_too_far": ("segments", "x0", 1e300),
    "an_area_of_text": ("segments", "area", "large"),
    "a_quality_of_text": ("segments", "qualities", '{"score": "x"}'),
    "a_quality_not_a_number": ("photos", "qualities", '{"score": NaN}'),
    "qualities_in_a_list": ("photos", "qualities", "[]"),
    "qualities_that_are_no_json": ("photos", "qualities", "{"),
    "qualities_nested_deeply": ("photos", "qualities", "[" * 100_000),
    "no_pixels": ("photos", "width", 0),
    "a_height_of_text": ("photos", "height", "high"),
    "a_reviewer_of_bytes": ("photos", "reviewer", b"\xff"),
    "a_name_of_bytes": ("sources", "name", b"\xff"),
    "a_reason_of_bytes": ("failures", "reason", b"\xff"),
    "details_in_a_list": ("settings", "details", "[]"),
}


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = rooms_store(tmp_path_factory.mktemp("labels") / "store", 2)
    with LabelStore.open(folder) as store:
        store.add_failure(Source("/corpus/a.jpg", "a", "/corpus"), "unreadable", "no photo")
    return folder


def damage(labels: Path, out: Path, table: str, column: str, value: object) -> Path:
    """Copies a store and puts a value into every row."""
    shutil.copytree(labels, out)
    with closing(sqlite3.connect(out / "labels.sqlite")) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", [value])
        connection.commit()
    return out


@pytest.mark.parametrize(("table", "column", "value"), list(DAMAGED.values()), ids=list(DAMAGED))
def test_report_of_damaged_labels(
    labels: Path, tmp_path: Path, table: str, column: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    store = damage(labels, tmp_path / "store", table, column, value)
    assert main(["report", str(store), "--out", str(tmp_path / "page")]) == DatasetError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"autolabel: expected a store of labels in {store / 'labels.sqlite'}, got a damaged one: ")
    assert not (tmp_path / "page").exists()


def test_text_that_is_not_utf8(labels: Path, tmp_path: Path) -> None:
    store = damage(labels, tmp_path / "store", "settings", "teacher", "x")
    with closing(sqlite3.connect(store / "labels.sqlite")) as connection:
        connection.execute("UPDATE settings SET teacher = CAST(x'ff' AS TEXT)")
        connection.commit()
    with LabelStore.open(store) as opened, pytest.raises(DatasetError, match="Could not decode to UTF-8"):
        opened.settings()


COLUMNS = sorted({place[:2] for place in DAMAGED.values()} | {("segments", "mask"), ("photos", "belief")})


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(COLUMNS),
    st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.binary() | st.text(st.characters(codec="utf-8")),
)
def test_any_value_is_read_or_refused(labels: Path, place: tuple[str, str], value: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store_folder = damage(labels, Path(folder) / "store", *place, value)
        with suppress(SurfacesError), LabelStore.open(store_folder) as store:
            store.settings()
            list(store.failures())
            for photo in store.photos():
                store.labels(photo.sha256)
