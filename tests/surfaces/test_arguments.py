"""Values of command-line arguments."""

from __future__ import annotations

import argparse

import pytest

from surfaces.arguments import number, positive, share


def test_what_is_meant_is_read() -> None:
    assert [positive("1"), positive("024"), share("0"), share("1"), share(".5"), number("2e2", 1, 300)] == [
        *(1, 24, 0.0, 1.0, 0.5, 200.0)
    ]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1_000", " 1", "one", "", "\u00b9", "\u0661"])
def test_no_count(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        positive(text)
    assert str(caught.value) == f"expected a number from 1, got {text}"


@pytest.mark.parametrize("text", ["-0.01", "1.01", "nan", "inf", "half", "", "50%"])
def test_no_share(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        share(text)
    assert str(caught.value) == f"expected a number from 0 to 1, got {text!r}"
