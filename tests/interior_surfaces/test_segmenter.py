from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torchvision import tv_tensors

from interior_surfaces import Result, Segmenter
from interior_surfaces.segmenter import to_image
from surfaces.detections import Image
from surfaces.errors import DecodeError, FetchError, NotAnImageError
from surfaces.images.load import load_image

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "tests" / "data" / "rooms" / "images" / "room_01.jpg"


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(threads=1)


@pytest.fixture(scope="module")
def image() -> Image:
    return load_image(str(ROOM))


def kinds(image: Image) -> dict[str, Any]:
    return {
        "text": str(ROOM),
        "path": ROOM,
        "bytes": ROOM.read_bytes(),
        "Pillow": Pillow.open(ROOM),
        "array": image,
        "uint8 tensor": torch.from_numpy(image.copy()).permute(2, 0, 1),
        "double tensor": torch.from_numpy(image.copy()).permute(2, 0, 1).double() / 255,
        "torchvision": tv_tensors.Image(torch.from_numpy(image.copy()).permute(2, 0, 1)),
        "float tensor": torch.from_numpy(image.copy()).permute(2, 0, 1).float().requires_grad_() / 255,
    }


def test_every_kind_of_photo_is_the_same(image: Image) -> None:
    for kind, photo in kinds(image).items():
        np.testing.assert_array_equal(to_image(photo), image, err_msg=kind)


def test_a_photo_and_a_list(segmenter: Segmenter, image: Image) -> None:
    one = segmenter.predict(ROOM)
    several = segmenter([image, str(ROOM)], min_score=0.5)
    assert isinstance(one, Result)
    assert [result.class_names for result in several] == [one.class_names] * 2
    np.testing.assert_array_equal(several[1].masks, one.masks)
    assert segmenter.predict(()) == []
    assert all(score >= 0.99 for score in segmenter.predict(ROOM, 0.99).scores)


@pytest.mark.parametrize(
    ("photo", "error", "message"),
    [
        (b"no photo", DecodeError, "expected"),
        (torch.zeros(8, 8), NotAnImageError, r"expected a tensor of shape \(3, H, W\), got \(8, 8\)"),
        (torch.full((3, 8, 8), 2.0), NotAnImageError, "expected floats from 0 to 1, got 2 to 2"),
        (torch.full((3, 8, 8), float("nan")), NotAnImageError, "expected floats from 0 to 1, got nan to nan"),
        (torch.full((3, 8, 8), 2.0, dtype=torch.bfloat16), NotAnImageError, "expected floats from 0 to 1, got 2 to 2"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), NotAnImageError, "got an array of int64"),
        ("nothing.jpg", FetchError, "nothing.jpg: "),
        (None, NotAnImageError, "got NoneType"),
    ],
)
def test_what_is_no_photo(photo: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        to_image(photo)


def test_five_lines(tmp_path: Path) -> None:
    code = f"""
from interior_surfaces import Segmenter

result = Segmenter().predict({str(ROOM)!r})
print(result)
result.save("room.png")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Result(512x384: wall ")
    assert Pillow.open(tmp_path / "room.png").size == (512, 384)


@pytest.mark.parametrize("name", ["models", "surfaces"])
def test_another_package_of_that_name_is_reported(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "own.py").write_text("import interior_surfaces")
    done = subprocess.run([sys.executable, "own.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith(f"ImportError: expected the package '{name}' in ")
    assert done.stderr.splitlines()[-1].endswith(f"{name}.py: another one hides it")
