"""Operating points: each is scored as evaluate would score it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distill import tune
from distill.__main__ import main
from distill.datasets import open_datasets
from models.runtime.merge import MergeSettings
from models.runtime.raw import RawOutput
from surfaces.dataset import Labels

ROOMS = Path(__file__).parents[1] / "data" / "rooms"


def photo_with_a_sure_and_a_doubtful_table() -> tune.SeenPhoto:
    """Two tables are said: the true one with score 1, a false one, of the same size, with score .36."""
    semantic = np.zeros((64, 128), np.uint8)
    semantic[16:48, 8:40] = 3
    probabilities = np.zeros((4, 64, 128), np.float32)
    probabilities[0] = 1
    for left in (8, 80):
        probabilities[3, 16:48, left : left + 32] = 1
    probabilities[0] -= probabilities[3]
    boxes = np.array([[8 / 128, 0.25, 40 / 128, 0.75], [80 / 128, 0.25, 112 / 128, 0.75]], np.float32)
    masks = np.ones((2, 56, 56), np.float32)
    raw = RawOutput(probabilities, boxes, np.array([1.0, 0.36], np.float32), masks)
    return tune.SeenPhoto(
        raw, probabilities.argmax(axis=0).astype(np.uint8), Labels(semantic, (semantic == 3).astype(np.uint8))
    )


def test_a_higher_threshold_trades_recall_for_precision() -> None:
    photo = photo_with_a_sure_and_a_doubtful_table()
    low = tune.try_settings([photo], MergeSettings(table_score=0.5, residual_score=1.01))
    high = tune.try_settings([photo], MergeSettings(table_score=0.7, residual_score=1.01))
    assert (low.iou, low.precision, low.recall) == pytest.approx((0.5, 0.5, 1.0), abs=0.02)
    assert (high.iou, high.precision, high.recall) == pytest.approx((1.0, 1.0, 1.0), abs=0.02)


def test_the_command_lists_the_whole_grid_best_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tune, "GRID", {"table_score": (0.3, 0.9), "mask_weight": (0.4,)})
    monkeypatch.setattr(tune, "open_datasets", lambda *given: open_datasets(*given)[:2])
    assert main(["tune", str(ROOMS), "--split", "all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    scores = [float(line.split()[2]) for line in lines[1:]]
    assert scores == sorted(scores, reverse=True)
