from __future__ import annotations

import dataclasses
import hashlib
import re
import socket
from pathlib import Path

import pytest

from models.weights.download import DownloadLimits
from models.weights.official import (
    BERT_VOCABULARY,
    GROUNDING_DINO,
    SAM,
    SAM2,
    Checkpoint,
    cache_folder,
    find_weights,
    licence_of,
)
from surfaces.errors import WeightsError
from surfaces.licences import Licence
from tests.models.weights.weights_server import ServedFile
from tests.photo_servers import PhotoServer

BODY = b"tensors" * 1000
LIMITS = DownloadLimits(connect_s=2, read_s=2, attempts=2, pause_s=0.01)


@pytest.fixture
def checkpoint(photo_server: PhotoServer) -> Checkpoint:
    """SAM vit_b's name with bytes that the loopback server has."""
    served = ServedFile(BODY)
    url = photo_server.answer(f"/sam/{SAM['vit_b'].name}", served)
    return Checkpoint(url, len(BODY), served.sha256)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def check_refused(checkpoint: Checkpoint, cache: Path, *words: str, given: tuple[Path, ...] = ()) -> None:
    with pytest.raises(WeightsError) as caught:
        find_weights(checkpoint, given, cache, LIMITS)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_weights_are_fetched_once(checkpoint: Checkpoint, cache: Path, photo_server: PhotoServer) -> None:
    path = find_weights(checkpoint, (), cache, LIMITS)
    assert path == cache / "sam_vit_b_01ec64.pth"
    assert path.read_bytes() == BODY
    assert find_weights(checkpoint, (cache.parent,), cache, LIMITS) == path
    assert len(photo_server.asked) == 1


def test_the_environment_names_the_cache(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERIOR_SURFACES_CACHE", str(tmp_path / "chosen"))
    assert find_weights(checkpoint, limits=LIMITS) == tmp_path / "chosen" / checkpoint.name
    monkeypatch.delenv("INTERIOR_SURFACES_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "interior-surfaces" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "interior-surfaces" / "weights"


@pytest.mark.parametrize("as_folder", [False, True])
def test_own_files_go_first_whatever_they_hold(
    checkpoint: Checkpoint, tmp_path: Path, cache: Path, photo_server: PhotoServer, as_folder: bool
) -> None:
    own = tmp_path / "own" / checkpoint.name
    own.parent.mkdir()
    own.write_bytes(b"trained further")
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_bytes(b"[PAD]")
    given = (vocabulary, own.parent if as_folder else own)
    assert find_weights(checkpoint, given, cache, LIMITS) == own
    assert find_weights(BERT_VOCABULARY, given, cache, LIMITS) == vocabulary
    assert photo_server.asked == []


def test_own_files_that_are_absent_or_unknown_are_reported(checkpoint: Checkpoint, tmp_path: Path, cache: Path) -> None:
    check_refused(checkpoint, cache, "there is no such file or folder", given=(tmp_path / "absent",))
    (tmp_path / "mine.pth").write_bytes(BODY)
    check_refused(checkpoint, cache, checkpoint.name, "mine.pth", given=(tmp_path / "mine.pth",))


def test_other_bytes_in_the_cache_are_reported_and_kept(checkpoint: Checkpoint, cache: Path) -> None:
    cache.mkdir()
    path = cache / checkpoint.name
    path.write_bytes(b"put here by hand")
    found = hashlib.sha256(b"put here by hand").hexdigest()
    check_refused(checkpoint, cache, str(path), checkpoint.sha256[:12], found[:12])
    assert path.read_bytes() == b"put here by hand"


def test_without_the_file_the_message_says_what_to_put_where(
    checkpoint: Checkpoint, cache: Path, photo_server: PhotoServer
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/sam_vit_b_01ec64.pth"
    offline = dataclasses.replace(checkpoint, address=address)
    check_refused(offline, cache, "no connection", address, "sam_vit_b_01ec64.pth", str(cache), "--weights")
    gone = dataclasses.replace(checkpoint, address=photo_server.url("/gone"))
    check_refused(gone, cache, "answered 404", "--weights")


def test_the_table_is_whole() -> None:
    table = [*GROUNDING_DINO.values(), *SAM.values(), *SAM2.values(), BERT_VOCABULARY]
    assert set(GROUNDING_DINO) == {"swint", "swinb"}
    assert set(SAM) == {"vit_b", "vit_l", "vit_h"}
    assert set(SAM2) == {"tiny", "small", "base-plus", "large"}
    for entry in table:
        assert entry.address.startswith("https://")
        assert re.fullmatch(r"[\w.]+\.(pth|txt|safetensors)", entry.name)
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
    assert len({entry.sha256 for entry in table}) == len({entry.name for entry in table}) == len(table)


def test_licences_are_of_the_official_bytes_alone() -> None:
    official = SAM2["tiny"]
    assert licence_of(official.sha256, "sam2.1 tiny") == Licence("sam2.1_hiera_tiny.safetensors", "Apache-2.0", "yes")
    own = hashlib.sha256(b"trained further").hexdigest()
    assert str(licence_of(own, "sam2.1 tiny")) == "weights of sam2.1 tiny: not stated (commercial use: unknown)"
