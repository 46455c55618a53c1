"""`segment.py`: photos, addresses, folders and arguments that cannot be used."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

import segment
from tests.photo_servers import PhotoServer
from tests.segment.runs import (
    check_failure,
    photo_bytes,
)


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("ftp://127.0.0.1/a.jpg", 4, "expected"),
        ("file://server/a.jpg", 4, "expected"),
        ("absent.jpg", 4, "expected"),
        ("", 4, "expected"),
        ("/dev/zero", 4, "expected"),
        ("SERVER/absent.jpg", 4, "404 Not Found"),
        ("SERVER/big", 4, "50 MB"),
        ("SERVER/short", 4, "broke off"),
        ("SERVER/html", 5, "HTML"),
        ("SERVER/truncated", 5, "truncated or corrupt"),
        ("SERVER/one-pixel", 5, "at least 16 pixels a side, the photo has 1x1"),
    ],
)
def test_photos_that_cannot_be_used(stub, photo_server: PhotoServer, url: str, code: int, words: str) -> None:
    photo_server.serve("/big", b"", Content_Length="50000001")
    photo_server.serve("/short", b"\xff\xd8", Content_Length="99")
    photo_server.serve("/html", b"<!doctype html><title>Not here</title>", Content_Type="image/jpeg")
    photo_server.serve("/truncated", photo_bytes("JPEG", (512, 512))[:9000], Content_Type="image/jpeg")
    photo_server.serve("/one-pixel", photo_bytes("PNG", (1, 1)), Content_Type="image/jpeg")
    check_failure(stub("--url", url.replace("SERVER", photo_server.url("")), "--json", "--masks"), code, words)


@pytest.mark.usefixtures("stub")
def test_private_hosts_need_the_option(
    photo_server: PhotoServer, room_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = photo_server.serve("/room.jpg", room_path.read_bytes())
    assert segment.main(["--url", url]) == 4
    message = "expected a host on the public internet, got 127.0.0.1; --allow-private permits it"
    assert message in capsys.readouterr().err
    assert photo_server.asked == []


def test_passwords_are_not_repeated(stub, room_path: Path) -> None:
    url = "http://mary:secret@127.0.0.1/a.jpg"
    check_failure(stub("--url", url), 4, "without user name and password")
    run = stub("--url", url, room_path, "--json")
    assert run.code == 10
    assert "http://…@127.0.0.1/a.jpg: expected an address without user name and password" in run.err
    written = run.out + run.err + "".join(path.read_text("utf-8") for path in run.folder.glob("*.json"))
    assert not re.search("mary|secret", written)


def test_timeout(stub, photo_server: PhotoServer) -> None:
    url = photo_server.answer("/a.jpg", lambda _: time.sleep(3))
    check_failure(stub("--url", url, "--timeout", "0.5"), 4, "0.5 s")


def test_limits_of_size(stub, photo_server: PhotoServer, tmp_path: Path) -> None:
    data = photo_bytes("JPEG", (200, 100))
    (tmp_path / "room.jpg").write_bytes(data)
    for url in ("room.jpg", photo_server.serve("/room.jpg", data)):
        assert "at most 0.01 megapixels, the photo has 200x100" in stub("--url", url, "--max-megapixels", "0.01").err
        assert "expected at most" in stub("--url", url, "--max-megabytes", "0.001").err
        assert stub("--url", url, "--max-megabytes", "0.1", "--max-megapixels", "0.02").code == 0


def test_unusable_output_folder(stub, room_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/absent")):
        run = stub("--url", room_path, "--output", folder)
        assert (run.code, run.out) == (6, "")
        assert run.err.startswith(f"segment.py: could not write to {folder}: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_folder_without_permission(stub, room_path: Path, tmp_path: Path) -> None:
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
        (["--url", "a", "--max-megapixels", "179"], "from 0.001 to 178, got '179'"),
        (["--url", "a", "--max-megabytes", "0"], "from 0.001 to 4000, got '0'"),
        (["--url", "a", "--colour"], "--colour"),
    ],
)
def test_wrong_arguments(stub, capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    with pytest.raises(SystemExit) as caught:
        stub(*options)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
