"""Dataset, predictions, annotations, dataset: exact to the pixel, through a real Label Studio."""

from __future__ import annotations

import numpy as np

from labelstudio.sync.agreement import same_labels
from surfaces.store.records import ScoredLabels
from tests.labelstudio.review_scenes import Scene, labels_of_masks, simple_labels


def shapes() -> dict[str, ScoredLabels]:
    rows, columns = np.mgrid[:61, :83]
    nothing = np.zeros((61, 83), bool)
    one = nothing.copy()
    one[60, 82] = True
    rings = ((rows - 30) ** 2 + (columns - 40) ** 2) // 90 % 2 == 0
    checks = (rows // 2 + columns // 3) % 2 == 0
    noise = np.random.default_rng(3).random((61, 83)) < 0.5
    corners = (rows % 60 == 0) & (columns % 82 == 0)
    return {
        "empty": labels_of_masks([("wall", nothing)]),
        "full": labels_of_masks([("wall", ~nothing)]),
        "all-unsure": labels_of_masks([("wall", nothing)], ~nothing),
        "one-pixel": labels_of_masks([("wall", one)]),
        "holes": labels_of_masks([("wall", rings), ("floor", ~rings & (columns < 20))]),
        "parts": labels_of_masks([("floor", checks), ("wall", corners & ~checks)]),
        "noise": labels_of_masks([("wall", noise), ("floor", ~noise)]),
        "tables": labels_of_masks(
            [("dining table", (columns // 12 == n) & rings) for n in range(6)] + [("wall", ~rings & (rows < 20))],
            ~rings & (rows > 50),
        ),
        "narrow": simple_labels(200, 17),
        "flat": simple_labels(19, 333),
        "odd": simple_labels(127, 255),
    }


def test_labels_come_back_exact_to_the_pixel(scene: Scene) -> None:
    pushed = {scene.add(name, labels): labels for name, labels in shapes().items()}
    for orientation in range(2, 9):
        labels = simple_labels(60 + orientation, 90, orientation)
        pushed[scene.add(f"turned-{orientation}", labels, orientation=orientation, suffix=".jpg")] = labels
    labels = simple_labels(70, 50)
    pushed[scene.add("webp", labels, suffix=".webp")] = labels

    assert scene.push() == 0
    for task in scene.tasks().values():
        scene.submit(task)
    assert scene.pull() == 0

    assert set(scene.origins().values()) == {("reviewed", scene.server.account.username)}
    for sha256, labels in pushed.items():
        assert same_labels(scene.labels(sha256), labels)


def test_twelve_megapixels_come_back_exact_to_the_pixel(scene: Scene) -> None:
    labels = simple_labels(3000, 4000)
    sha256 = scene.add("large", labels, suffix=".jpg")

    assert scene.push() == 0
    scene.submit(scene.tasks()[sha256])
    assert scene.pull() == 0

    assert same_labels(scene.labels(sha256), labels)
    assert scene.origins()[sha256][0] == "reviewed"
