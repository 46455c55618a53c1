"""How photos a second are measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.made.rates import measure

PHOTOS = sorted((Path(__file__).parents[1] / "data" / "rooms" / "images").glob("*.jpg"))


@pytest.mark.slow
def test_each_step_is_run_and_told_without_this_machines_folders() -> None:
    rates = measure(PHOTOS[:2], ["student"])

    assert list(rates["steps"]) == ["judge", "student"]
    assert rates["steps"]["student"]["command"] == "autolabel run photos.txt --teacher student --threads 2 --out OUT"
    for step in rates["steps"].values():
        assert step["photos_a_second"] == pytest.approx(2 / step["seconds"], rel=0.1)
        assert step["bytes_a_photo"] > 1000
