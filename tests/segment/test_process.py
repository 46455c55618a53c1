"""`segment.py` as a process with the shipped network: memory, signals, full disks."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from PIL import Image as Pillow
from pycocotools import mask as coco

from surfaces.version import VERSION
from tests.photo_servers import PhotoServer
from tests.segment.runs import (
    COMMAND,
    EXAMPLE,
    ROOT,
    check_failure,
)


def test_help_and_version_are_complete(command) -> None:
    helped, version = command("--help"), command("--version")
    assert (helped.code, version.code) == (0, 0)
    assert version.out == f"interior-surfaces {VERSION}\n"
    for word in ("--url", "--output", "--surname", "--classes", "--json", "examples:", "exit codes:"):
        assert word in helped.out
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"].get("version", VERSION) == VERSION


def test_shipped_network(command, photo_server: PhotoServer) -> None:
    run = command("--url", photo_server.serve("/a", EXAMPLE.read_bytes()), "--json", "--masks", "--quiet")
    assert (run.code, run.err) == (0, "")
    segments = run.json["segments"]
    assert [entry["class"] for entry in segments][:2] == ["wall", "floor"]
    covered = sum(coco.decode(entry["segmentation"]).astype(int) for entry in segments)
    assert covered.shape == (2876, 1920)
    assert covered.max() == 1
    assert re.fullmatch("[0-9a-f]{64}", run.json["model"]["sha256"])
    with Pillow.open(run.paths[0]) as picture:
        assert picture.size == (1920, 2876)


def test_a_lower_table_score_finds_more_tables(command) -> None:
    found = [command("--url", EXAMPLE, "--json", "--quiet", *more) for more in ((), ("--table-score", "0.5"))]
    tables = [[s for s in run.json["segments"] if s["class"] == "dining table"] for run in found]
    assert len(tables[1]) > len(tables[0])
    assert all(0.5 <= table["score"] < 0.75 for table in tables[1])


def test_batch_as_a_process(command, room_path: Path) -> None:
    sources = f"{room_path}\nabsent.jpg\n{EXAMPLE}\n"
    run = command("--url", "-", input=sources)
    assert run.code == 10
    assert len(run.paths) == len(run.files) == 2
    assert "absent.jpg: expected a photo's address or file, there is no such file" in run.err
    assert "3/3" in run.err
    assert "Traceback" not in run.err


def run_then(tmp_path: Path, photo: Path, program: str) -> list[str]:
    """Runs the command within a process, then a program; returns the words that it prints last."""
    arguments = ["--url", str(photo), "--output", str(tmp_path), "--json", "--masks"]
    program = f"import sys, segment\ncode = segment.main({arguments!r})\n{program}\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def test_segmenting_loads_no_torch(tmp_path: Path, room_path: Path) -> None:
    assert run_then(tmp_path, room_path, "print(code, 'torch' in sys.modules)") == ["0", "False"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux' /proc")
def test_memory_of_a_large_photo(tmp_path: Path) -> None:
    photo = tmp_path / "large.jpg"
    Pillow.open(EXAMPLE).resize((3000, 4000)).save(photo)
    # Not ru_maxrss: Linux counts what the parent, this test run with torch, held at the fork.
    peak = "next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]"
    code, kilobytes = run_then(tmp_path, photo, f"print(code, {peak})")
    assert code == "0"
    assert int(kilobytes) <= 600 * 1024


def test_concurrent_runs(tmp_path: Path, room_path: Path) -> None:
    words = [*COMMAND, "--url", str(room_path), "--output", str(tmp_path)]
    runs = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    paths = {run.communicate(timeout=120)[0].strip() for run in runs}
    assert len(paths) == 3
    assert {str(path) for path in tmp_path.iterdir()} == paths


def test_full_disk_leaves_nothing(command, room_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    run = command("--url", room_path, "--json", "--masks", preexec_fn=small_files)
    check_failure(run, 6, "File too large")


@pytest.mark.parametrize("photos", [1, 3])
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interruption(tmp_path: Path, photo_server: PhotoServer, sent: signal.Signals, code: int, photos: int) -> None:
    url = photo_server.answer("/silent", lambda _: time.sleep(20))
    words = [*COMMAND, "--output", str(tmp_path / "out"), "--allow-private", "--quiet", "--url", *[url] * photos]
    run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not photo_server.asked and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(sent)
    out, err = run.communicate(timeout=30)
    assert (run.returncode, out) == (code, "")
    assert err == ("segment.py: interrupted\n" if sent == signal.SIGINT else "")
    assert list((tmp_path / "out").iterdir()) == []


def test_closed_pipe(tmp_path: Path, room_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [*COMMAND, "--output", str(tmp_path), "--url", str(room_path)]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
