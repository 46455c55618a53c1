"""What holds for every module of the product."""

from __future__ import annotations

from pathlib import Path

from tests.import_arrows import modules_of

ROOT = Path(__file__).parents[1]
MOST_LINES = 400


def test_no_module_is_too_long_to_be_read_at_once() -> None:
    modules = modules_of(ROOT)
    assert len(modules) > 100
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in modules.items()}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}
