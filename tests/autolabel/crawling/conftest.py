"""A loopback site of four hosts, and the folder of a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.autolabel.crawling.sites import Site


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(4) as site:
        yield site


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "c"
