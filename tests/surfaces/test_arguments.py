"""Values of command-line arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from surfaces.arguments import local_path, number, positive, share


def test_what_is_meant_is_read() -> None:
    assert [positive("1"), positive("024"), share("0"), share("1"), share(".5"), number("2e2", 1, 300)] == [
        *(1, 24, 0.0, 1.0, 0.5, 200.0)
    ]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1_000", " 1", "one", "", "\u00b9", "\u0661"])
def test_no_count(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        positive(text)
    assert str(caught.value) == f"expected a number from 1, got {text}"


@pytest.mark.parametrize("text", ["labels", "/labels", "C:\\labels", "a:b/labels"])
def test_a_path(text: str) -> None:
    assert local_path(text) == Path(text)


@pytest.mark.parametrize("text", ["s3://bucket/labels", "https://host/labels", "file:///labels"])
def test_no_path(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        local_path(text)
    assert str(caught.value) == f"expected a path on this machine, got the address {text}"


@pytest.mark.parametrize("text", ["-0.01", "1.01", "nan", "inf", "half", "", "50%"])
def test_no_share(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        share(text)
    assert str(caught.value) == f"expected a number from 0 to 1, got {text!r}"
