"""How photos come to where the server can show them: found out by trying."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image as Pillow

from labelstudio.errors import HostingError
from labelstudio.project.image_hosting import ImageHosting, LocalFiles, Original, PhotoNotHostableError, Upload
from labelstudio.project.labeling_config import create_project
from surfaces.errors import DecodeError
from surfaces.images.load import load_image
from surfaces.store.label_store import LabelStore, StoredPhoto
from tests.labelstudio.review_scenes import Scene, photo_bytes, simple_labels
from tests.labelstudio.servers import running_server
from tests.photo_servers import PhotoServer


def addresses(scene: Scene) -> list[str]:
    return sorted(str(task["data"]["image"]) for task in scene.numbers())


def shown(scene: Scene, address: str) -> bytes:
    return bytes(scene.server.session.get(address).raise_for_status().content)


def stored_photo(scene: Scene) -> StoredPhoto:
    with LabelStore.open(scene.dataset) as store:
        return next(iter(store.photos()))


def storages(scene: Scene) -> list[Any]:
    project = {"project": scene.project.id}
    return list(scene.server.session.get("/api/storages/localfiles/", params=project).json())


def test_photos_on_the_servers_disk_are_read_there(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.add("a room/ü 1&2", simple_labels())
    scene.add("other/b", simple_labels(seed=1))

    assert scene.push() == 0

    assert all(address.startswith("/data/local-files/?d=") for address in addresses(scene))
    assert {shown(scene, address) for address in addresses(scene)} == {
        path.read_bytes() for path in scene.photos.rglob("*.png")
    }
    assert [storage["path"] for storage in storages(scene)] == [str(scene.photos)]
    told = capsys.readouterr().err
    assert "from its own disk" in told
    assert f"opened {scene.photos} to the people of project" in told
    [storage] = storages(scene)
    scene.server.session.post(f"/api/storages/localfiles/{storage['id']}/sync").raise_for_status()
    assert len(scene.numbers()) == 2, "a storage that somebody synchronises makes no tasks"


def test_a_local_server_sees_links_to_pushed_photos_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    photos = tmp_path / "data"
    with running_server(tmp_path / "home", photos) as server:
        scene = Scene(server, create_project(server, "linked"), tmp_path)
        scene.photos = photos
        scene.add("a room/ü 1&2", simple_labels())
        (photos / "a room" / "secret.txt").write_text("secret", "utf-8")
        (photos / "a room" / "link.png").symlink_to("/etc/passwd")

        assert scene.push("--photos", "local", "--home", str(server.local.home)) == 0

        [address] = addresses(scene)
        assert shown(scene, address) == (photos / "a room/ü 1&2.png").read_bytes()
        for hidden in ("data/a room/secret.txt", "data/a room/link.png", "home/account.json", "../home/account.json"):
            assert not server.session.get("/data/local-files/", params={"d": hidden}).is_success
        assert [storage["path"] for storage in storages(scene)] == [str(server.local.home / "links" / "data")]
        shutil.rmtree(server.local.home / "links" / "data")
        assert scene.push("--home", str(server.local.home)) == 0
        assert shown(scene, address) == (photos / "a room/ü 1&2.png").read_bytes()
        assert addresses(scene) == [address]
        beside = {"project": scene.project.id, "path": str(photos)}
        assert server.session.post("/api/storages/localfiles/", json=beside).status_code == 400


def test_photos_on_the_servers_disk_are_found_through_other_spellings(scene: Scene) -> None:
    scene.photos = scene.server.photos / "nowhere" / ".." / scene.photos.name
    (scene.server.photos / "nowhere").mkdir(exist_ok=True)
    scene.add("a", simple_labels())
    assert scene.push() == 0
    assert addresses(scene) == [f"/data/local-files/?d=photos%2F{scene.photos.name}%2Fa.png"]


def test_photos_in_object_storage_are_not_sought_on_a_disk(scene: Scene) -> None:
    scene.add("a", simple_labels())
    original = Original(stored_photo(scene), "s3://bucket/a.png", b"")
    with pytest.raises(PhotoNotHostableError, match=r"s3://bucket/a\.png is in object storage"):
        LocalFiles(scene.server, scene.project).host(original)


def test_photos_elsewhere_are_uploaded(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene.photos = tmp_path / "elsewhere"
    scene.add("a", simple_labels())

    assert scene.push() == 0

    [address] = addresses(scene)
    assert address.startswith("/data/upload/")
    assert shown(scene, address) == (scene.photos / "a.png").read_bytes()
    assert "they are uploaded; not from the server's disk, it serves subfolders of" in (capsys.readouterr().err)
    assert scene.server.client.projects.get(scene.project.id).task_number == 1


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["local-files", "upload"], ids=["served folder", "document root"])
def test_photos_right_in_the_folders_of_the_server(scene: Scene, folder: str) -> None:
    scene.photos = scene.server.photos if folder == "local-files" else scene.server.photos.parent
    scene.add(f"right-in-it-{scene.project.id}", simple_labels())
    assert scene.push() == 0
    assert addresses(scene)[0].startswith(f"/data/{folder}/")


@pytest.mark.parametrize("orientation", [3, 6])
def test_turned_photos_are_uploaded_upright(scene: Scene, orientation: int) -> None:
    scene.add("turned", simple_labels(40, 60), orientation=orientation, suffix=".jpg")

    assert scene.push() == 0

    [address] = addresses(scene)
    copy = scene.photos / "copy.jpg"
    copy.write_bytes(shown(scene, address))
    with Pillow.open(copy) as photo:
        assert photo.size == (60, 40)
        assert photo.getexif().get(0x0112, 1) == 1
    upright = load_image(str(scene.photos / "turned.jpg")).astype(int)
    assert np.abs(load_image(str(copy)).astype(int) - upright).mean() < 8


def test_photos_on_the_web_are_linked(
    scene: Scene, photo_server: PhotoServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.photos = tmp_path / "corpus"
    scene.add("a room/é 1", simple_labels())
    address = photo_server.serve("/b/a%20room/%C3%A9%201.png", (scene.photos / "a room/é 1.png").read_bytes())

    assert scene.push("--url-base", photo_server.url("/b/")) == 0

    assert addresses(scene) == [address]
    assert f"browsers fetch them from {photo_server.url('/b')}" in capsys.readouterr().err


@pytest.mark.parametrize("there", ["HTTP 404", "other bytes", "public internet", "does not answer"])
def test_a_web_address_that_does_not_have_the_photos_is_not_taken(
    scene: Scene, photo_server: PhotoServer, there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(2):
        scene.add(f"{seed}", simple_labels(seed=seed))
        if there == "other bytes":
            photo_server.serve(f"/{seed}.png", photo_bytes("other", 48, 64))
        if there == "public internet":  # a redirect that leads to this machine
            photo_server.serve(f"/{seed}.png", b"", 302, Location=photo_server.url("/admin"))
    base = "http://127.0.0.1:9" if there == "does not answer" else photo_server.url("")

    assert scene.push("--url-base", base) == 0

    assert all(address.startswith("/data/local-files/") for address in addresses(scene))
    [line] = [line for line in capsys.readouterr().err.splitlines() if "photos: " in line]
    assert f"not from {base}, which " in line
    assert there in line
    assert len(photo_server.asked) == (0 if there == "does not answer" else 1)


def test_a_folder_that_is_another_one_on_the_server_is_not_opened(scene: Scene) -> None:
    """As where the server is on another machine that happens to have a folder of that name."""
    scene.add("a", simple_labels())
    path = scene.photos / "a.png"
    original = Original(stored_photo(scene), str(path), path.read_bytes())
    path.write_bytes(b"what the server has there")

    with pytest.raises(PhotoNotHostableError, match="which has other bytes in"):
        LocalFiles(scene.server, scene.project).host(original)

    assert storages(scene) == []


def test_a_chosen_hosting_method_that_does_not_work_is_reported(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.photos = tmp_path / "elsewhere"
    scene.add("a", simple_labels())
    assert scene.push("--photos", "local") == HostingError.exit_code
    assert scene.push("--photos", "url") == HostingError.exit_code
    assert scene.push("--url-base", "s3://bucket") == HostingError.exit_code
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("labelstudio: ")]
    assert len(err) == 3
    assert scene.numbers() == []


class Recorder:
    description = "recorded"

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def host(self, original: Original) -> str:
        self.taken.append(original.data)
        return "/data/1.jpg"


@pytest.mark.security
def test_files_that_are_no_photos_are_not_hosted() -> None:
    photo = StoredPhoto("a" * 64, "secret", "/home/me/secret.jpg", 64, 40, "auto", "", "teacher", "f" * 64, {})
    recorder = Recorder()
    hosting = ImageHosting([recorder], cast(Upload, recorder))
    with pytest.raises(DecodeError, match=r"expected a photo \(JPEG, "):
        hosting.host(Original(photo, photo.source, b"-----BEGIN OPENSSH PRIVATE KEY-----"))
    assert recorder.taken == []
