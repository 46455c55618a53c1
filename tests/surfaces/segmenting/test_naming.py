from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from surfaces.errors import SurfacesError
from surfaces.segmenting.naming import Signature, names_by_source, resolve_signature, safe_part, stems

# Lone surrogates stand for bytes of an argument that are no text.
anything = st.text(st.characters(codec=None), max_size=120)


@given(anything)
@example("../../etc/passwd")
@example("C:\\CON")
@example(".hidden")
@example("-rf")
@example("a_b")
@example("nul\0nul\n")
@example("e\u0301" * 80)
@example("\udcff\ud800")
def test_any_text_gives_a_valid_part(text: str) -> None:
    part = safe_part(text)
    assert len(part.encode()) <= 64
    assert not set(part) & set('/\\:*?"<>|_. \0\n')
    assert not part.startswith("-")
    assert not part.endswith("-")
    assert all(unicodedata.category(c)[0] in "LMN" or c == "-" for c in part)
    assert safe_part(part) == part


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("O'Neill", "O-Neill"),
        ("von  der Leyen", "von-der-Leyen"),
        *((name, name) for name in ("Doe", "Łukasz", "नमस्ते", "")),
        ("李 小龙", "李-小龙"),
        ("../../etc", "etc"),
        ("snake_case", "snake-case"),
        ("!!!", ""),
        ("\u212b", "\u00c5"),
        ("ж" * 80, "ж" * 32),
    ],
)
def test_parts(text: str, part: str) -> None:
    assert safe_part(text) == part


@given(anything, anything, st.datetimes(datetime(2000, 1, 1)))
def test_names_can_be_parsed(surname: str, name: str, time: datetime) -> None:
    signature = resolve_signature(surname, name, {}, [])
    stem = next(stems(signature, time))
    match = re.fullmatch(r"([^_]+)_([^_]+)__(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6})", stem)
    assert match is not None
    assert Signature(*match.groups()[:2]) == signature
    assert len(f"{stem}_dining-table-100.png".encode()) <= 255


def test_stems_count_microseconds() -> None:
    start = datetime(2026, 11, 22, 21, 10, 59, 999_999)
    assert list(islice(stems(Signature("a", "b"), start), 2)) == [
        "a_b__2026-11-22T21-10-59.999999",
        "a_b__2026-11-22T21-11-00.000000",
    ]


@pytest.fixture
def settings(tmp_path: Path) -> list[Path]:
    own, project = tmp_path / "interior-surfaces.toml", tmp_path / "pyproject.toml"
    own.write_text('surname = "Own"\n', "utf-8")
    project.write_text('[tool.interior-surfaces]\nsurname = "Project"\nname = "Père"\n', "utf-8")
    return [own, project]


def test_order_of_precedence(settings: list[Path]) -> None:
    environment = {"INTERIOR_SURFACES_SURNAME": "Env", "INTERIOR_SURFACES_NAME": "Ironment"}
    assert resolve_signature("Op", "Tion", environment, settings) == Signature("Op", "Tion")
    assert resolve_signature(None, "Tion", environment, settings) == Signature("Env", "Tion")
    assert resolve_signature(None, None, {}, settings) == Signature("Own", "Père")
    assert resolve_signature(None, None, {}, settings[1:]) == Signature("Project", "Père")
    assert resolve_signature(None, None, {}, []) == Signature("interior", "surfaces")


def test_empty_parts_count_as_missing(settings: list[Path]) -> None:
    assert resolve_signature("///", "", {"INTERIOR_SURFACES_NAME": "..."}, settings) == Signature("Own", "Père")


def test_pyproject_without_the_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'other'\n", "utf-8")
    assert resolve_signature(None, None, {}, [tmp_path / "pyproject.toml"]) == Signature()


@pytest.mark.parametrize("content", ["surname = ", "surname = 3", "name = ['a']", "\xff"])
def test_invalid_settings_files(tmp_path: Path, content: str) -> None:
    path = tmp_path / "interior-surfaces.toml"
    path.write_text(content, "latin-1")
    with pytest.raises(SurfacesError, match=r"expected .*interior-surfaces\.toml") as caught:
        resolve_signature(None, None, {}, [path])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "folder", "name"),
    [
        ("room.jpg", None, "room"),
        ("a/./b/room.v2.jpeg", None, "a/b/room.v2"),
        ("/photos/a/room.jpg", None, "room"),
        ("../a/room.jpg", None, "room"),
        ("/photos/a/room.jpg", "/photos", "photos/a/room"),
        ("photos/a/room.jpg", "photos", "photos/a/room"),
        ("../photos/a/room.jpg", "../photos", "photos/a/room"),
        ("file:///photos/a%20b.jpg", None, "a b"),
        ("https://example.com/a/room.jpg?width=900#top", None, "example.com/a/room-2b702867"),
        ("https://example.com/a/room@2x.jpg#top", None, "example.com/a/room@2x"),
        ("https://mary:secret@example.com:80/%2e%2e/%2Fetc/room.jpg", None, "example.com-80/etc/room"),
        ("https://example.com/", None, "example"),
        ("s3://bucket/rooms/1.png", None, "bucket/rooms/1"),
        ("a/.hidden.jpg", None, "a/hidden"),
        ("con.jpg", None, "_con"),
        ("a:b?.jpg", None, "a-b-"),
        ("...", None, "photo"),
    ],
)
def test_names_of_photos(source: str, folder: str | None, name: str) -> None:
    assert names_by_source([(source, folder)]) == {source: f"{name}.surfaces"}


def test_photos_of_one_name_are_told_apart() -> None:
    sources = ["a/room.jpg", "a/Room.png", "/x/room.jpg", "/y/room.jpg", "a/other.jpg", "a/room.jpg"]
    assert list(names_by_source([(source, None) for source in sources]).values()) == [
        "a/room.jpg.surfaces",
        "a/Room.png.surfaces",
        "room.jpg.surfaces",
        "room.jpg-2.surfaces",
        "a/other.surfaces",
    ]


paths = st.text(st.characters(codec=None), max_size=300) | st.text("ab./\\:é?", max_size=30)


@given(st.lists(paths, max_size=5))
@example(["a/" * 60 + "x" * 300 + ".jpg", "A/" * 60 + "x" * 301 + ".JPG"])
@example(["https://[::1", "file://server/a.jpg", "\ud800"])
@example(["https://x/a." + "b" * 400 + "." + "c" * 342, "screen\u202f\u3000.png", "a/" * 3000 + "b.jpg"])
def test_any_photos_give_valid_names_of_their_own(sources: list[str]) -> None:
    names = names_by_source([(source, None) for source in sources])
    assert set(names) == set(sources)
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names.values()}) == len(names)
    for name in names.values():
        path = PurePosixPath(name)
        assert not path.is_absolute()
        assert not PureWindowsPath(name).drive
        assert len(PureWindowsPath(name).parts) == len(path.parts)
        for part in path.parts:
            assert 0 < len(part.encode()) <= 240
            assert part.isprintable()
            assert not part.startswith(".")
            assert part == part.rstrip(". ")
