from __future__ import annotations

import io
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from threading import Condition

import numpy as np
import pytest
from PIL import Image as Pillow

from surfaces.classes import WALL
from surfaces.detections import Detection, Image
from surfaces.errors import FetchError, OutputError, WeightsError
from surfaces.segmenting import pipeline
from surfaces.segmenting.batch import PHOTOS_IN_MEMORY, Sources, expand_sources, is_batch, run_batch
from surfaces.segmenting.pipeline import Settings

OUTPUT = Path("output")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = ["b.JPG", "a.png", "c.webp", "d.heic", "e.jfif", "below.jpg/f.MPO"]
    for name in [*photos, "notes.txt", ".hidden.jpg", ".git/g.jpg"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def expanded(*sources: object, stdin: str = "", output: Path = OUTPUT) -> Sources:
    return expand_sources(map(str, sources), io.BytesIO(stdin.encode()), output)


def test_folders_are_expanded(folder: Path) -> None:
    found = expanded(folder)
    names = ("a.png", "b.JPG", "c.webp", "d.heic", "e.jfif", "below.jpg/f.MPO")
    assert found.photos == tuple(str(folder / name) for name in names)
    assert found.notes == ("1 file passed over: 1 .txt",)
    assert expanded(folder.as_uri()) == found


def test_output_folder_is_skipped(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "picture.jpg").touch()
    found = expanded(folder, output=folder / "out")
    assert len(found.photos) == 6
    assert f"1 folder of results passed over: {folder / 'out'}" in found.notes


def test_list_on_stdin(folder: Path) -> None:
    stdin = f"http://x/1.jpg\n\n# a comment\n  my photo.jpg  \r\n{folder / 'a.png'}"
    assert expanded("0.jpg", "-", stdin=stdin).photos == ("0.jpg", "http://x/1.jpg", "my photo.jpg", f"{folder}/a.png")
    assert expanded("-", stdin=f"{folder}\n-").photos[-2:] == (str(folder / "below.jpg" / "f.MPO"), "-")


def test_folder_without_photos(tmp_path: Path) -> None:
    (tmp_path / "a.mov").touch()
    with pytest.raises(FetchError, match=r"expected photos in the folder, there are none; 1 file passed over: 1 \.mov"):
        expanded(tmp_path)
    found = expanded(tmp_path, "a.jpg")
    assert (found.photos, len(found.problems)) == (("a.jpg",), 1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_of_lists(encoding: str) -> None:
    found = expand_sources(["-"], io.BytesIO("Küche.jpg\r\nb.jpg\r\n".encode(encoding)), OUTPUT)
    assert found == Sources(("Küche.jpg", "b.jpg"), (None, None))


def test_lines_that_are_not_text(folder: Path) -> None:
    list_in_latin_1 = "a.jpg\n# \xe9\nK\xfcche.jpg\nb.jpg\n".encode("latin-1")
    found = expand_sources(["-"], io.BytesIO(list_in_latin_1), OUTPUT)
    assert found.photos == ("a.jpg", "b.jpg")
    assert found.problems == ("stdin:3: expected a name in UTF-8 or UTF-16, got 'K\\udcfcche.jpg'",)
    name = os.fsencode(folder) + b"/K\xfcche.jpg"
    Path(os.fsdecode(name)).touch()
    assert expand_sources(["-"], io.BytesIO(name), OUTPUT).photos == (os.fsdecode(name),)


@pytest.mark.parametrize(
    ("stdin", "came"),
    [
        (io.BytesIO(b"\xff\xd8\xff\xe0\0\x10JFIF"), "got: a photo (JPEG), no text"),
        (io.BytesIO(b"PK\3\4\0\0"), "got: binary data, no text"),
        (io.BytesIO(b"# nothing\n"), "got none"),
        (None, "it is closed"),
    ],
    ids=["photo", "archive", "empty", "closed"],
)
def test_invalid_lists(stdin: io.BytesIO | None, came: str) -> None:
    with pytest.raises(FetchError, match="expected a list of photos on stdin, ") as caught:
        expand_sources(["-"], stdin, OUTPUT)
    assert str(caught.value).endswith(came)


def test_is_batch(folder: Path) -> None:
    assert is_batch(["a.jpg", "b.jpg"])
    assert is_batch(["-"])
    assert is_batch([str(folder)])
    assert not is_batch(["a.jpg"])
    assert not is_batch(["a\0b"])


@dataclass
class Brightness:
    """Finds a wall in bright photos; counts those that it was given."""

    name: str = "brightness"
    sha256: str = "ab" * 32
    seen: int = 0

    def predict(self, image: Image) -> list[Detection]:
        self.seen += 1
        height, width = image.shape[:2]
        box = np.array([0, 0, width, height], np.float32)
        return [Detection(WALL, 0.9, box, np.ones((height, width), bool))] if image.mean() > 100 else []


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Photos that brighten from one to the next; the second is missing and the fourth is none."""
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        Pillow.new("RGB", (40, 30), (40 * number,) * 3).save(path)
    paths[1].unlink()
    paths[3].write_bytes(b"none")
    return [str(path) for path in paths]


def test_bad_photos_do_not_stop_the_batch(
    photos: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    assert run_batch(photos, Brightness(), Settings(tmp_path / "out", json=True), quiet=True) == 2
    out, err = capsys.readouterr()
    sources = [json.loads(Path(path).with_suffix(".json").read_text())["image"]["source"] for path in out.splitlines()]
    assert sources == [photos[number] for number in (0, 2, 4, 5)]
    assert re.fullmatch(r".*1\.png: .*no such file\n.*3\.png: expected a photo.*\n", err)


def test_output_errors_stop_the_batch(photos: list[str], tmp_path: Path) -> None:
    network = Brightness()
    with pytest.raises(OutputError):
        run_batch(photos[4:5] * 50, network, Settings(tmp_path / "missing"), quiet=True)
    assert network.seen < PHOTOS_IN_MEMORY


def test_photos_before_a_failure_of_the_network_are_reported(
    photos: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(Brightness):
        def predict(self, image: Image) -> list[Detection]:
            if self.seen == 2:
                raise WeightsError("expected a network")
            return super().predict(image)

    with pytest.raises(WeightsError, match="expected a network"):
        run_batch(photos[4:5] * 9, Failing(), Settings(tmp_path), quiet=True)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_progress_and_notes_go_to_stderr(photos: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_batch([photos[0], photos[5]], Brightness(), Settings(tmp_path), quiet=False) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert "0.png: nothing found" in err
    assert "5.png: nothing found" not in err
    assert "2/2" in err


def test_the_next_photos_are_loaded_while_the_network_runs(photos: list[str], tmp_path: Path) -> None:
    """And no more of them than fit into memory."""
    loaded: list[str] = []
    loads = Condition()

    class Waiting(Brightness):
        def predict(self, image: Image) -> list[Detection]:
            with loads:
                assert loads.wait_for(lambda: len(loaded) >= min(self.seen + PHOTOS_IN_MEMORY - 1, 20), timeout=60)
                assert len(loaded) <= self.seen + PHOTOS_IN_MEMORY - 1
            return super().predict(image)

    def load(source: str, _: Settings) -> Image:
        with loads:
            loaded.append(source)
            loads.notify_all()
        return np.zeros((16, 16, 3), np.uint8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "load_photo", load)
        assert run_batch(photos[:1] * 20, Waiting(), Settings(tmp_path), quiet=True) == 0
