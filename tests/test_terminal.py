"""Names with control characters in what commands tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from autolabel.__main__ import main

pytestmark = pytest.mark.security


def test_an_error_escapes_the_control_characters_of_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path / "a\x1b[2J\nautolabel: fine\u202e")]) == 8
    told = capsys.readouterr().err.removesuffix("\n")
    assert told.isprintable()
    assert "\\x1b[2J\\nautolabel: fine\\u202e" in told
