"""Values of command-line arguments."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from surfaces.cli.arguments import local_path, number, positive, share


def test_valid_numbers() -> None:
    assert [positive("1"), positive("024"), share("0"), share("1"), share(".5"), number("2e2", 1, 300)] == [
        *(1, 24, 0.0, 1.0, 0.5, 200.0)
    ]


def test_local_paths() -> None:
    for text in ("labels", "/labels", "C:\\labels", "a:b/labels"):
        assert local_path(text) == Path(text)
    for text in ("file:///my%20labels", "file://localhost/my%20labels"):
        assert local_path(text) == Path("/my labels")


_REFUSED = [(positive, text, f"a number from 1, got {text}") for text in ("0", "-1", "1.5", "1_000", " 1", "one", "")]
_REFUSED += [(positive, digit, f"a number from 1, got {digit}") for digit in "\u00b9\u0661"]
_NO_SHARES = ["-0.01", "1.01", "nan", "inf", "half", "", "50%"]
_REFUSED += [(share, text, f"a number from 0 to 1, got {text!r}") for text in _NO_SHARES]
_REFUSED += [
    (local_path, url, f"a path on this machine, got the address {url}")
    for url in ("s3://bucket/labels", "https://host/labels", "zip://labels::s3://bucket/a.zip")
]


@pytest.mark.parametrize(("read", "text", "message"), _REFUSED)
def test_refused_values(read: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        read(text)
    assert str(caught.value) == f"expected {message}"


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("autolabel", ["run", "s3://bucket/list.txt", "--out", "labels"]),
        ("autolabel", ["export", "labels", "--format", "coco", "--out", "s3://bucket/set"]),
        ("distill", ["inspect", "s3://bucket/set"]),
    ],
    ids=["a corpus", "an output", "a dataset"],
)
def test_commands_refuse_urls_for_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"{package}.__main__").main(words)
    assert ended.value.code == 2
    assert "got the address s3://bucket/" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
