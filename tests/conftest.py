"""Shared by several tests: rendered rooms with exact masks, a loopback server of photos."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from surfaces.classes import BY_ID
from surfaces.detections import Detection, box_of_mask
from surfaces.masks.rle import decode
from tests.photo_servers import PhotoServer

# Spinning threads slow each other down tenfold on a busy machine; read when torch is imported, here and in processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The same examples in every run; `pytest --hypothesis-profile default` looks for new ones.
hypothesis.settings.register_profile("same-examples", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same-examples")

# Object storage in memory, for tests of what needs no server.
os.environ["INTERIOR_SURFACES_STORAGE"] = "memory"

ROOMS = Path(__file__).parent / "data" / "rooms"

# A shell that starts the tests in the background has them ignore Ctrl-C, and their processes inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names parameters that are bytes by their argument: what they hold may depend on the time and the machine."""
    return argname if isinstance(val, bytes | bytearray) else None


def _seed_generators() -> None:
    random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="module", autouse=True)
def _same_random_numbers_for_shared_fixtures() -> None:
    """Weights that a module's fixtures draw are the same in every run and order of the tests."""
    _seed_generators()


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    """The same for each test."""
    _seed_generators()


@pytest.fixture(scope="session")
def room_path() -> Path:
    """A photo of a room with a wall, a floor and a table; 512x384."""
    return ROOMS / "images" / "room_01.jpg"


@pytest.fixture(scope="session")
def room_detections() -> list[Detection]:
    """The exact masks of `room_path`."""
    document = json.loads((ROOMS / "annotations.json").read_text("utf-8"))
    found = [a for a in document["annotations"] if a["image_id"] == 1]
    masks = [decode(annotation["segmentation"]) for annotation in found]
    return [
        Detection(BY_ID[annotation["category_id"]], 0.9, box_of_mask(mask), mask)
        for annotation, mask in zip(found, masks, strict=True)
    ]


@pytest.fixture
def photo_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PhotoServer]:
    """A server of photos on the loopback interface."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with PhotoServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
