"""Values of command-line arguments."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import pytest

from surfaces.cli.arguments import local_path, number, positive, share


def test_valid_numbers() -> None:
    assert [positive("1"), positive("024"), share("0"), share("1"), share(".5"), number("2e2", 1, 300)] == [
        *(1, 24, 0.0, 1.0, 0.5, 200.0)
    ]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1_000", " 1", "one", "", "\u00b9", "\u0661"])
def test_positive_refuses(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        positive(text)
    assert str(caught.value) == f"expected a number from 1, got {text}"


@pytest.mark.parametrize("text", ["labels", "/labels", "C:\\labels", "a:b/labels"])
def test_local_paths(text: str) -> None:
    assert local_path(text) == Path(text)


@pytest.mark.parametrize("text", ["file:///my%20labels", "file://localhost/my%20labels"])
def test_file_urls_are_paths(text: str) -> None:
    assert local_path(text) == Path("/my labels")


@pytest.mark.parametrize("text", ["s3://bucket/labels", "https://host/labels", "zip://labels::s3://bucket/a.zip"])
def test_local_path_refuses_urls(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        local_path(text)
    assert str(caught.value) == f"expected a path on this machine, got the address {text}"


@pytest.mark.parametrize("text", ["-0.01", "1.01", "nan", "inf", "half", "", "50%"])
def test_share_refuses(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        share(text)
    assert str(caught.value) == f"expected a number from 0 to 1, got {text!r}"


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
