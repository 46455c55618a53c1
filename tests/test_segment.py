"""The command: in-process with a stub network where only input and output matter, as a process with the shipped one."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOMS, PhotoServer
from PIL import Image as Pillow
from pycocotools import mask as coco

import segment
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Detection, Image, box_of_mask
from surfaces.errors import WeightsError

ROOT = Path(__file__).parents[1]
NAME = re.compile(r"interior_surfaces__\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}\.jpg")
EXAMPLE = ROOT / "examples" / "pexels-3965508.jpg"

needs_weights = pytest.mark.skipif(
    not list((ROOT / "models" / "weights").glob("*.onnx")), reason="no shipped network in models/weights"
)


class StubSegmenter:
    """Calls the upper half wall, the lower half floor, with two tables."""

    name, sha256 = "stub", "0" * 64

    def __init__(self, weights: Path | None = None) -> None:
        if weights:
            raise WeightsError(f"expected weights at {weights}")

    def predict(self, image: Image) -> list[Detection]:
        height, width = image.shape[:2]
        regions = np.zeros((height, width), np.uint8)
        regions[: height // 2], regions[height // 2 :] = 1, 2
        regions[-height // 4 :, : width // 4], regions[-height // 4 :, -width // 4 :] = 3, 4
        found = [(WALL, 0.95), (FLOOR, 0.9), (DINING_TABLE, 0.8), (DINING_TABLE, 0.6)]
        masks = [regions == number for number in (1, 2, 3, 4)]
        return [Detection(s, score, box_of_mask(m), m) for (s, score), m in zip(found, masks, strict=True)]


class Run:
    """What a run of the command left: exit code, outputs, files."""

    def __init__(self, code: int, out: str, err: str, folder: Path) -> None:
        self.code, self.out, self.err, self.folder = code, out, err, folder

    @property
    def paths(self) -> list[Path]:
        return [Path(line) for line in self.out.splitlines()]

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs the command in this process with the stub network; pictures go to `tmp_path / "out"`."""
    monkeypatch.setattr("models.Segmenter", StubSegmenter, raising=False)
    for variable in ("INTERIOR_SURFACES_SURNAME", "INTERIOR_SURFACES_NAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Run:
        folder = tmp_path / "out"
        code = segment.main(["--output", str(folder), *map(str, arguments)])
        return Run(code, *capsys.readouterr(), folder)

    return run


@pytest.fixture
def command(tmp_path: Path):
    """Runs the command as a process; pictures go to `tmp_path / "out"`."""

    def run(*arguments: object, **options: object) -> Run:
        folder = tmp_path / "out"
        words = [sys.executable, str(ROOT / "segment.py"), "--output", str(folder), *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, **{"cwd": tmp_path} | options)
        return Run(done.returncode, done.stdout, done.stderr, folder)

    return run


def photo_bytes(kind: str, size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.effect_noise(size, 60).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


# One photo


def test_one_photo_gives_one_picture(stub, room_path: Path) -> None:
    run = stub("--url", room_path)
    assert (run.code, run.err) == (0, "")
    assert run.out == f"{run.folder / run.files[0]}\n"
    assert NAME.fullmatch(run.files[0])
    with Pillow.open(run.paths[0]) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (512, 384))


def test_a_photo_from_the_web(stub, photo_server: PhotoServer, room_path: Path) -> None:
    photo_server.serve("/room.jpg", room_path.read_bytes())
    url = photo_server.serve("/old", b"", status=302, Location="/room.jpg")
    run = stub("--url", url, "--json")
    assert (run.code, run.err) == (0, "")
    assert json.loads(run.paths[0].with_name(run.files[1]).read_text())["image"]["source"] == url


@pytest.mark.usefixtures("stub")
def test_default_output_is_below_the_current_folder(room_path: Path, tmp_path: Path) -> None:
    assert segment.main(["--url", str(room_path)]) == 0
    assert len(list((tmp_path / "output").iterdir())) == 1


def test_orientation_and_size_are_the_photos(stub, tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    (tmp_path / "turned.jpg").write_bytes(photo_bytes("JPEG", exif=exif))
    with Pillow.open(stub("--url", "turned.jpg").paths[0]) as picture:
        assert picture.size == (48, 64)
        assert picture.getexif().get(0x0112) is None


def test_json_and_masks_lie_beside_the_picture(stub, room_path: Path) -> None:
    run = stub("--url", room_path, "--json", "--masks")
    stem = run.paths[0].name.removesuffix(".jpg")
    suffixes = [".jpg", ".json", "_dining-table-1.png", "_dining-table-2.png", "_floor.png", "_wall.png"]
    assert run.files == sorted(stem + suffix for suffix in suffixes)
    document = json.loads((run.folder / f"{stem}.json").read_text("utf-8"))
    assert document["image"] == {"source": str(room_path), "width": 512, "height": 384, "output": str(run.paths[0])}
    assert document["model"] == {"name": "stub", "sha256": "0" * 64}
    for entry, name in zip(document["segments"], ("wall", "floor", "dining-table-1", "dining-table-2"), strict=True):
        stored = np.asarray(Pillow.open(run.folder / f"{stem}_{name}.png"))
        assert np.array_equal(stored, 255 * coco.decode(entry["segmentation"]))
        assert entry["area_share"] == pytest.approx((stored > 0).mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "classes"),
    [
        (["--classes", "wall,floor"], ["wall", "floor"]),
        (["--classes", "Dining-Table"], ["dining table", "dining table"]),
        (["--classes", "floor, dining table", "--min-score", "0.7"], ["floor", "dining table"]),
        (["--min-score", "0.9"], ["wall", "floor"]),
        ([], ["wall", "floor", "dining table", "dining table"]),
    ],
)
def test_classes_and_scores_are_filtered(stub, room_path: Path, options: list[str], classes: list[str]) -> None:
    run = stub("--url", room_path, "--json", *options)
    document = json.loads((run.folder / run.files[1]).read_text("utf-8"))
    assert [entry["class"] for entry in document["segments"]] == classes


def test_nothing_found_still_gives_a_picture_and_says_so(stub, room_path: Path) -> None:
    run = stub("--url", room_path, "--min-score", "1")
    assert run.code == 0
    assert run.err == f"{room_path}: nothing found, the picture shows the photo as it is\n"
    difference = np.asarray(Pillow.open(run.paths[0])).astype(int) - np.asarray(Pillow.open(room_path))
    assert np.abs(difference).mean() < 2
    assert stub("--url", room_path, "--min-score", "1", "--quiet").err == ""


def test_alpha_sets_the_tint(stub, room_path: Path) -> None:
    faint, strong = (
        np.asarray(Pillow.open(stub("--url", room_path, "--alpha", alpha).paths[0])).astype(int) for alpha in (0, 0.8)
    )
    photo = np.asarray(Pillow.open(room_path)).astype(int)
    assert np.abs(faint - photo).mean() * 5 < np.abs(strong - photo).mean()


# Names


def test_who_signs(stub, room_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def name(*options: str) -> str:
        return stub("--url", room_path, *options).paths[0].name.split("__")[0]

    assert name() == "interior_surfaces"
    (tmp_path / "interior-surfaces.toml").write_text('surname = "Set"\nname = "Tings"\n', "utf-8")
    assert name() == "Set_Tings"
    monkeypatch.setenv("INTERIOR_SURFACES_SURNAME", "Env")
    assert name() == "Env_Tings"
    assert name("--surname", "Łuk/../asz", "--name", "..") == "Łuk-asz_Tings"


def test_bad_settings_are_told(stub, room_path: Path, tmp_path: Path) -> None:
    (tmp_path / "interior-surfaces.toml").write_text("surname =", "utf-8")
    run = stub("--url", room_path)
    assert (run.code, run.out, run.files) == (3, "", [])
    assert run.err.startswith("segment.py: expected settings in TOML in interior-surfaces.toml")


# Batches


def test_a_batch_gives_a_line_a_photo_in_order(stub) -> None:
    rooms = [ROOMS / "images" / f"room_0{n}.jpg" for n in (3, 2, 8)]
    run = stub("--url", *rooms[:2], "--url", rooms[2])
    assert run.code == 0
    assert [Pillow.open(path).size for path in run.paths] == [(512, 384), (440, 440), (384, 512)]
    assert "3/3" in run.err


def test_one_bad_photo_does_not_stop_the_rest(stub, room_path: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"<html>")
    run = stub("--url", room_path, "bad.jpg", "absent.jpg", room_path, "--quiet")
    assert run.code == 10
    assert len(run.paths) == len(run.files) == 2
    assert [line.split(": ")[0] for line in run.err.splitlines()] == ["bad.jpg", "absent.jpg"]


def test_a_folder_and_a_list_on_stdin(stub, room_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos" / name).write_bytes(room_path.read_bytes())
    assert len(stub("--url", "photos").paths) == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"photos/a.jpg\n\n# none\n{room_path}\nphotos\n"))
    assert len(stub("--url", "-").paths) == 4


def test_a_batch_of_one_that_fails_is_still_a_batch(stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("absent.jpg\n"))
    assert stub("--url", "-").code == 10


# Bad input


def answer_silence(_: BaseHTTPRequestHandler) -> None:
    time.sleep(3)


def answer_drip(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    for _ in range(60):
        request.wfile.write(b"\xff")
        time.sleep(0.05)


def check_failure(run: Run, code: int, words: str) -> None:
    assert run.code == code
    assert run.out == ""
    assert re.fullmatch(rf"segment\.py: .*{re.escape(words)}.*\n", run.err)
    assert run.files == []


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/a.jpg", "file:///etc/hosts", "http://", "absent.jpg", "", "/dev/zero"]
)
def test_what_cannot_be_fetched(stub, url: str) -> None:
    check_failure(stub("--url", url, "--json", "--masks"), 4, "expected")


@pytest.mark.parametrize("answer", [answer_silence, answer_drip])
def test_a_server_that_does_not_answer_in_time(stub, photo_server: PhotoServer, answer) -> None:
    check_failure(stub("--url", photo_server.answer("/a.jpg", answer), "--timeout", "0.5"), 4, "0.5 s")


def test_http_errors(stub, photo_server: PhotoServer) -> None:
    check_failure(stub("--url", photo_server.url("/absent.jpg")), 4, "404 Not Found")
    check_failure(stub("--url", photo_server.serve("/gone", b"", status=410)), 4, "410")
    check_failure(stub("--url", photo_server.serve("/big", b"", Content_Length="20000001")), 4, "20 MB")
    check_failure(stub("--url", photo_server.serve("/short", b"\xff\xd8", Content_Length="99")), 4, "broke off")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"<!doctype html><title>Not here</title>", "HTML"),
        (photo_bytes("JPEG", (512, 512))[:9000], "truncated or corrupt"),
        (photo_bytes("PNG", (512, 512))[:9000], "truncated or corrupt"),
        (b"\xff\xd8\xff" + bytes(999), "got a damaged one"),
        (photo_bytes("PNG", (1, 1)), "at least 16 pixels a side, the photo has 1x1"),
    ],
    ids=["empty", "html", "truncated jpeg", "truncated png", "corrupt", "one pixel"],
)
def test_what_cannot_be_decoded(stub, photo_server: PhotoServer, data: bytes, words: str) -> None:
    url = photo_server.serve("/photo.jpg", data, Content_Type="image/jpeg")
    check_failure(stub("--url", url, "--json", "--masks"), 5, words)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (photo_bytes("JPEG", (1000, 100)), (1000, 100)),
        (photo_bytes("JPEG", mode="CMYK"), (64, 48)),
        (photo_bytes("JPEG", mode="L"), (64, 48)),
        (photo_bytes("PNG", mode="P"), (64, 48)),
        (photo_bytes("PNG", mode="RGBA"), (64, 48)),
        (photo_bytes("PNG", mode="I;16"), (64, 48)),
        (photo_bytes("GIF", save_all=True, append_images=[Pillow.new("RGB", (64, 48))]), (64, 48)),
        (photo_bytes("WEBP", (16, 16)), (16, 16)),
    ],
    ids=["panorama", "cmyk", "grey", "palette", "alpha", "16 bit", "animated", "smallest"],
)
def test_unusual_photos_are_taken(stub, photo_server: PhotoServer, data: bytes, size: tuple[int, int]) -> None:
    run = stub("--url", photo_server.serve("/photo", data))
    assert (run.code, run.err) == (0, "")
    with Pillow.open(run.paths[0]) as picture:
        assert (picture.size, picture.mode) == (size, "RGB")


def test_an_unusable_output_folder(stub, room_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/absent")):
        run = stub("--url", room_path, "--output", folder)
        assert (run.code, run.out) == (6, "")
        assert run.err.startswith(f"segment.py: could not write to {folder}: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_without_permission(stub, room_path: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    check_failure(stub("--url", room_path), 6, "Permission denied")


def test_missing_weights(stub, room_path: Path) -> None:
    check_failure(stub("--url", room_path, "--weights", "absent.onnx"), 7, "absent.onnx")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--url"),
        (["--url"], "--url"),
        (["--url", "a", "--classes", "wall,door"], "'door'"),
        (["--url", "a", "--classes", ""], "--classes"),
        (["--url", "a", "--min-score", "1.5"], "from 0 to 1, got '1.5'"),
        (["--url", "a", "--alpha", "nan"], "from 0 to 1, got 'nan'"),
        (["--url", "a", "--timeout", "0"], "--timeout"),
        (["--url", "a", "--colour"], "--colour"),
    ],
)
def test_wrong_calls(stub, capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    with pytest.raises(SystemExit) as caught:
        stub(*options)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


# As a process


def test_help_and_version_are_quick_and_complete(command) -> None:
    start = time.monotonic()
    helped, version = command("--help"), command("--version")
    assert time.monotonic() - start < 3
    assert (helped.code, version.code) == (0, 0)
    assert version.out == "interior-surfaces 0.1.0\n"
    for word in ("--url", "--output", "--surname", "--classes", "--json", "examples:", "exit codes:"):
        assert word in helped.out


def test_the_version_is_the_projects() -> None:
    import tomllib

    from surfaces.version import VERSION

    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"].get("version", VERSION) == VERSION


@needs_weights
def test_the_shipped_network_finds_the_room(command, photo_server: PhotoServer) -> None:
    run = command("--url", photo_server.serve("/a", EXAMPLE.read_bytes()), "--json", "--masks")
    assert (run.code, run.err) == (0, "")
    document = json.loads((run.folder / f"{run.paths[0].name.removesuffix('.jpg')}.json").read_text("utf-8"))
    segments = document["segments"]
    assert [entry["class"] for entry in segments][:2] == ["wall", "floor"]
    covered = sum(coco.decode(entry["segmentation"]).astype(int) for entry in segments)
    assert covered.shape == (2876, 1920)
    assert covered.max() == 1
    assert re.fullmatch("[0-9a-f]{64}", document["model"]["sha256"])
    with Pillow.open(run.paths[0]) as picture:
        assert picture.size == (1920, 2876)


@needs_weights
def test_a_batch_as_a_process(command, room_path: Path) -> None:
    sources = f"{room_path}\nabsent.jpg\n{EXAMPLE}\n"
    run = command("--url", "-", input=sources)
    assert run.code == 10
    assert len(run.paths) == len(run.files) == 2
    assert "absent.jpg: expected a photo's address or file, there is no such file" in run.err
    assert "3/3" in run.err
    assert "Traceback" not in run.err


@needs_weights
def test_neither_torch_nor_more_memory_than_promised(tmp_path: Path) -> None:
    photo = tmp_path / "large.jpg"
    Pillow.open(EXAMPLE).resize((3000, 4000)).save(photo)
    program = (
        "import resource, sys, segment\n"
        f"code = segment.main(['--url', {str(photo)!r}, '--output', {str(tmp_path)!r}, '--json', '--masks'])\n"
        "print(code, 'torch' in sys.modules, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120)
    code, torch, megabytes = done.stdout.splitlines()[-1].split()
    assert (code, torch) == ("0", "False"), done.stderr
    assert int(megabytes) <= 600


@needs_weights
def test_runs_at_the_same_time_keep_to_themselves(tmp_path: Path, room_path: Path) -> None:
    words = [sys.executable, str(ROOT / "segment.py"), "--url", str(room_path), "--output", str(tmp_path)]
    runs = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    paths = {run.communicate(timeout=120)[0].strip() for run in runs}
    assert len(paths) == 3
    assert {str(path) for path in tmp_path.iterdir()} == paths


@needs_weights
def test_a_full_disk_leaves_nothing(command, room_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    run = command("--url", room_path, "--json", "--masks", preexec_fn=small_files)
    check_failure(run, 6, "File too large")


@needs_weights
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_is_clean(tmp_path: Path, photo_server: PhotoServer, sent: signal.Signals, code: int) -> None:
    words = [sys.executable, str(ROOT / "segment.py"), "--output", str(tmp_path / "out"), "--url"]
    words.append(photo_server.answer("/silent", lambda _: time.sleep(20)))
    run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not photo_server.asked and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(sent)
    out, err = run.communicate(timeout=30)
    assert (run.returncode, out) == (code, "")
    assert err == ("segment.py: interrupted\n" if sent == signal.SIGINT else "")
    assert list((tmp_path / "out").iterdir()) == []


@needs_weights
def test_a_reader_that_leaves_is_no_error(tmp_path: Path, room_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, str(ROOT / "segment.py"), "--output", str(tmp_path), "--url", str(room_path)]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
