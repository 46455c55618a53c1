"""Files of the hub: recorded at the first download, the only ones that are used after it, no request without need."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.teachers.huggingface.hub import find_checkpoint, is_cached, is_folder, split_revision
from surfaces.cli.settings_files import SettingsError
from surfaces.errors import WeightsError
from tests.models.teachers.huggingface.hub_server import Hub, serve

NAME = "some-lab/rooms"
COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40

pytestmark = pytest.mark.security


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one repository, and an empty cache."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in ("config.json", "preprocessor_config.json", "README.md", "pytorch_model.bin", "model.safetensors"):
        (folder / name).write_text(f"content of {name}")
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("INTERIOR_SURFACES_CACHE", str(tmp_path / "cache"))
    with serve(Hub(NAME, folder)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        yield running


def cached(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "huggingface" / "some-lab--rooms"


def test_the_needed_files_are_downloaded_once(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_cached(NAME)
    found = find_checkpoint(NAME)
    assert (found.name, found.licence, found.commit) == (NAME, "mit", COMMIT)
    assert found.path == cached(tmp_path) / COMMIT
    names = sorted(path.name for path in found.path.iterdir() if path.is_file())
    assert names == ["config.json", "model.safetensors", "preprocessor_config.json"]  # no pickle
    assert (found.path / "model.safetensors").read_text() == "content of model.safetensors"
    assert capsys.readouterr().err.startswith(f"downloading {NAME} at aaaaaaa (0 MB)")
    count = len(hub.requests)
    assert find_checkpoint(NAME) == found
    assert find_checkpoint(NAME, COMMIT) == found
    assert is_cached(NAME)
    assert len(hub.requests) == count
    assert capsys.readouterr().err == ""


def test_a_branch_that_moves_and_a_hub_that_is_gone_change_nothing(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_checkpoint(NAME)
    hub.revisions = {"main": OTHER_COMMIT, "v2": OTHER_COMMIT}
    (hub.folder / "model.safetensors").write_text("trained further")
    assert find_checkpoint(NAME) == found
    newer = find_checkpoint(NAME, "v2")
    assert newer.commit == OTHER_COMMIT
    assert newer.sha256 != found.sha256
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert find_checkpoint(NAME) == found
    assert find_checkpoint(NAME, "v2") == newer
    monkeypatch.setenv("INTERIOR_SURFACES_CACHE", str(tmp_path / "moved"))
    (tmp_path / "cache").rename(tmp_path / "moved")  # as on a machine without a network
    assert find_checkpoint(NAME).sha256 == found.sha256


def test_a_changed_file_is_refused(hub: Hub, tmp_path: Path) -> None:
    path = find_checkpoint(NAME).path / "model.safetensors"
    path.write_text("content of model.safetensorS")
    with pytest.raises(WeightsError) as raised:
        find_checkpoint(NAME)
    assert re.fullmatch(
        rf"expected sha256 [0-9a-f]{{12}}… of {path} as at its first download, got [0-9a-f]{{12}}…: "
        rf"remove {cached(tmp_path)} to download it again",
        str(raised.value),
    )
    path.unlink()
    with pytest.raises(WeightsError, match=r"expected weights at .*model\.safetensors: No such file"):
        find_checkpoint(NAME)
    assert len(hub.requests) > 0


@pytest.mark.usefixtures("hub")
def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    find_checkpoint(NAME)
    record = cached(tmp_path) / "record.json"
    content = json.loads(record.read_text())
    assert content["revisions"] == {"main": COMMIT}
    assert content["commits"][COMMIT]["licence"] == "mit"
    for text in ("{", '{"revisions": 3}'):
        record.write_text(text)
        with pytest.raises(WeightsError, match=r"\Aexpected the record of some-lab/rooms in .*, it is damaged"):
            find_checkpoint(NAME)


def test_bytes_that_are_not_those_that_the_hub_lists(hub: Hub, tmp_path: Path) -> None:
    hub.listed["model.safetensors"] = "0" * 64
    with pytest.raises(WeightsError, match=r"expected model\.safetensors of some-lab/rooms as the hub lists it"):
        find_checkpoint(NAME)
    assert not (cached(tmp_path) / "record.json").exists()
    hub.listed.clear()
    assert find_checkpoint(NAME).commit == COMMIT


def test_a_download_that_fails_is_resumed_and_recorded_when_it_is_whole(hub: Hub, tmp_path: Path) -> None:
    hub.refused = {"model.safetensors"}
    with pytest.raises(WeightsError, match=r"\Asome-lab/rooms could not be downloaded: .*403") as raised:
        find_checkpoint(NAME)
    assert "\n" not in str(raised.value)
    assert not is_cached(NAME)
    assert (cached(tmp_path) / COMMIT / "config.json").is_file()
    hub.refused.clear()
    hub.requests.clear()
    assert find_checkpoint(NAME).commit == COMMIT
    assert not [request for request in hub.requests if request.endswith("/config.json")]


@pytest.mark.parametrize(
    ("card", "licence"),
    [({}, "unknown"), ({"license": "other", "license_name": "room-licence"}, "room-licence")],
)
def test_licences(hub: Hub, card: dict[str, str], licence: str) -> None:
    hub.card = card
    assert find_checkpoint(NAME).licence == licence
    assert find_checkpoint(NAME).licence == licence


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", r"expected config\.json in some-lab/rooms@main: it is no checkpoint of transformers"),
        (
            "model.safetensors",
            r"expected model\.safetensors in some-lab/rooms@main, got pytorch_model\.bin; "
            r"a pull request there may have it: some-lab/rooms@refs/pr/NUMBER",
        ),
    ],
)
def test_a_repository_without_the_files(hub: Hub, tmp_path: Path, missing: str, message: str) -> None:
    (hub.folder / missing).unlink()
    with pytest.raises(WeightsError, match=rf"\A{message}\Z"):
        find_checkpoint(NAME)
    assert not (cached(tmp_path) / COMMIT).exists()


def test_what_the_hub_does_not_have(hub: Hub) -> None:
    for name, revision, message in (
        ("some-lab/none", None, "expected a model some-lab/none at the hub, there is none"),
        (NAME, "v9", "expected a branch, tag or commit of some-lab/rooms, got 'v9'"),
    ):
        with pytest.raises(WeightsError, match=rf"\A{message}") as raised:
            find_checkpoint(name, revision)
        assert "\n" not in str(raised.value)
    hub.revisions["main"] = "../../outside"
    with pytest.raises(WeightsError, match=r"expected a commit of some-lab/rooms from the hub, got '../../outside'"):
        find_checkpoint(NAME)


def test_no_network_is_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(WeightsError, match=r"\Asome-lab/rooms could not be downloaded: .*refused") as raised:
            find_checkpoint(NAME)
    assert "\n" not in str(raised.value)
    assert hub.requests == []


def test_names() -> None:
    assert [is_folder(name) for name in ("./net", "../net", ".", "/net", "net", "lab/net")] == [True] * 4 + [False] * 2
    assert split_revision("lab/net") == ("lab/net", None)
    assert split_revision("lab/net@refs/pr/3") == ("lab/net", "refs/pr/3")
    assert split_revision("./net@home") == ("./net@home", None)
    for name in ("", "lab/net/more", "lab/../net", "https://example.com/net", "lab\\net"):
        with pytest.raises(SettingsError, match="expected a model of the hub such as ORG/NAME, or a folder"):
            find_checkpoint(name)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"expected a folder with config\.json and model\.safetensors, got"):
        find_checkpoint(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    first = find_checkpoint(str(tmp_path))
    assert (first.name, first.path, first.licence, first.commit) == (tmp_path.name, tmp_path, "unknown", "")
    (tmp_path / "notes.txt").write_text("not used")
    assert find_checkpoint(str(tmp_path)) == first
    (tmp_path / "model.safetensors").write_text("weights")
    assert find_checkpoint(str(tmp_path)).sha256 != first.sha256
    with pytest.raises(SettingsError, match="expected no revision of the folder"):
        find_checkpoint(str(tmp_path), "main")
