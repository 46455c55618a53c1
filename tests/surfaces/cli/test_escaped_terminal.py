"""Names and messages of others on a terminal: escaped, and otherwise as they are."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from surfaces.cli.commands import EscapingStream

pytestmark = pytest.mark.security

NAME = "\x1b[2J\x9b1m\u202ejpg\x07room.jpg"


def escape(text: str) -> str:
    stream = io.StringIO()
    EscapingStream(stream).write(text)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("room 1: 0.5 m²\n\tübung 部屋\n", "room 1: 0.5 m²\n\tübung 部屋\n"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb", "a\\rb"),
        ("\r 50%|█████     |\r", "\r 50%|█████     |\r"),
        ("x\u202egpj.exe", "x\\u202egpj.exe"),
        ("\x9b2J", "\\x9b2J"),
        ("a\udc80b", "a\\udc80b"),
    ],
    ids=["plain", "escape", "return", "bar", "bidi", "C1", "not UTF-8"],
)
def test_escaped_text(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(st.text(max_size=40))
def test_any_text_is_escaped(text: str) -> None:
    shown = escape(text)
    assert all(sign.isprintable() or sign in "\n\t" for sign in shown.strip("\r"))
    assert escape(shown) == shown


def test_progress_bars_are_not_changed() -> None:
    plain, wrapped = io.StringIO(), io.StringIO()
    for file in (plain, EscapingStream(wrapped)):  # type: ignore[arg-type]
        bar = tqdm(total=3, file=file, mininterval=0, bar_format="{l_bar}{bar}| {n}/{total}")
        bar.update(1)
        bar.close()
    assert wrapped.getvalue() == plain.getvalue()


@pytest.fixture
def photos(tmp_path: Path, room_path: Path) -> Path:
    """A folder with a good and a broken photo of hostile names."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(room_path, folder / NAME)
    (folder / f"broken{NAME}").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    return folder


@pytest.mark.parametrize(
    "command",
    [
        (10, "segment.py", "--url", "{photos}", "--output", "{out}"),
        (8, "-m", "autolabel", "run", "{photos}/no" + NAME, "--out", "{out}", "--teacher", "student"),
        (8, "-m", "distill", "inspect", "{photos}/no" + NAME),
        (2, "-m", "labelstudio", "init", "{photos}/no" + NAME, "--url", "http://x/\x1b[2J"),
    ],
    ids=["segment", "run", "inspect", "init"],
)
def test_names_of_photos_are_escaped(tmp_path: Path, photos: Path, command: tuple[int | str, ...]) -> None:
    code, *words = [str(word).format(photos=photos, out=tmp_path / "out") for word in command]
    ran = subprocess.run([sys.executable, *words], capture_output=True, cwd=Path(__file__).parents[3], timeout=120)
    told = (ran.stdout + ran.stderr).decode()
    assert str(ran.returncode) == code, told
    assert "\\x1b[2J" in told
    assert all(sign.isprintable() or sign in "\r\n\t" for sign in told)
