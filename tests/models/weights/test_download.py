from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.weights.download import DownloadError, DownloadLimits, download
from surfaces.errors import WeightsError
from surfaces.io.http import USER_AGENT
from tests.models.weights.weights_server import ServedFile
from tests.photo_servers import PhotoServer

BODY = os.urandom(3_000_000)
LIMITS = DownloadLimits(connect_s=2, read_s=5, attempts=3, pause_s=0.01)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "sam.pth"


def part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def fetch(server: PhotoServer, served: ServedFile, target: Path, sha256: str = "", size: int = 0) -> None:
    url = server.answer("/sam.pth", served)
    download(url, target, size or len(served.body), sha256 or served.sha256, LIMITS)


def refused(
    server: PhotoServer, served: ServedFile, target: Path, sha256: str = "", size: int = 0, kind: type = DownloadError
) -> str:
    with pytest.raises(kind) as caught:
        fetch(server, served, target, sha256, size)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    return str(caught.value)


def left_in(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if not path.name.endswith(".lock"))


def test_a_file_comes_whole_and_nothing_else_is_left(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY)
    fetch(photo_server, served, target)
    assert target.read_bytes() == BODY
    assert left_in(target) == ["sam.pth"]
    assert served.asked == [(None, None)]
    assert photo_server.agents == [USER_AGENT]


def test_what_is_there_is_not_fetched_again(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY)
    fetch(photo_server, served, target)
    fetch(photo_server, served, target)
    assert len(served.asked) == 1


def test_what_broke_off_is_resumed_where_it_was(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, cuts=[1_000_000, 500_000])
    fetch(photo_server, served, target)
    assert target.read_bytes() == BODY
    assert served.asked == [(None, None), ("bytes=1000000-", '"one"'), ("bytes=1500000-", '"one"')]
    assert served.sent == len(BODY)
    assert left_in(target) == ["sam.pth"]


def test_any_number_of_breaks_is_survived_while_bytes_come(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, cuts=[200_000] * 14)
    fetch(photo_server, served, target)
    assert target.read_bytes() == BODY
    assert served.sent == len(BODY)


def test_breaks_without_a_new_byte_are_counted(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, cuts=[1_000_000, 0, 0, 0, 0, 0])
    assert "broke off" in refused(photo_server, served, target)
    assert len(served.asked) == LIMITS.attempts
    assert part_of(target).read_bytes() == BODY[:1_000_000]
    served.cuts.clear()
    fetch(photo_server, served, target)
    assert served.sent == len(BODY)


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(1, 90_000), max_size=6), tagged=st.booleans(), ranges=st.booleans())
def test_wherever_it_breaks_the_bytes_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], tagged: bool, ranges: bool
) -> None:
    served = ServedFile(BODY[:100_000], etag='"x"' if tagged else "", cuts=cuts, ranges=ranges, piece=1000)
    target = tmp_path_factory.mktemp("cuts") / "sam.pth"
    with PhotoServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        url = server.answer("/sam.pth", served)
        limits = DownloadLimits(connect_s=2, read_s=2, attempts=10, pause_s=0.0)
        download(url, target, len(served.body), served.sha256, limits)
        server.shutdown()
    assert target.read_bytes() == served.body


def test_a_server_without_ranges_starts_again(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, cuts=[1_000_000], ranges=False)
    fetch(photo_server, served, target)
    assert target.read_bytes() == BODY
    assert served.asked[1][0] == "bytes=1000000-"
    assert served.sent == 1_000_000 + len(BODY)


def test_a_file_that_changed_meanwhile_starts_again(photo_server: PhotoServer, target: Path) -> None:
    refused(photo_server, ServedFile(bytes(len(BODY)), etag='"old"', cuts=[1_000_000, 0, 0, 0]), target)
    assert part_of(target).stat().st_size == 1_000_000
    served = ServedFile(BODY, etag='"new"')
    fetch(photo_server, served, target)
    assert target.read_bytes() == BODY
    assert served.asked == [("bytes=1000000-", '"old"')]


def test_another_range_than_asked_for_starts_again(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, cuts=[1_000_000])

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("Range"):
            request.send_response(206)
            request.send_header("Content-Range", f"bytes 0-99/{len(BODY)}")
            request.send_header("Content-Length", "100")
            request.end_headers()
            request.wfile.write(BODY[:100])
        else:
            served(request)

    download(photo_server.answer("/sam.pth", answer), target, len(BODY), served.sha256, LIMITS)
    assert target.read_bytes() == BODY


def test_a_part_longer_than_the_file_is_dropped(photo_server: PhotoServer, target: Path) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(bytes(len(BODY) + 5))
    assert f"expected {len(BODY)} bytes" in refused(photo_server, ServedFile(BODY), target)
    fetch(photo_server, ServedFile(BODY), target)
    assert target.read_bytes() == BODY


def test_a_part_that_is_whole_already_only_gets_its_name(photo_server: PhotoServer, target: Path) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(BODY)
    served = ServedFile(BODY)
    fetch(photo_server, served, target)
    assert target.read_bytes() == BODY
    assert served.asked == []


def test_other_bytes_are_removed_and_told_in_one_line(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY)
    words = refused(photo_server, served, target, sha256="ab" * 32)
    assert "abababababab" in words
    assert served.sha256[:12] in words
    assert left_in(target) == []


@pytest.mark.parametrize("size", [len(BODY) - 1, len(BODY) + 1])
def test_another_size_is_refused_before_the_first_byte(photo_server: PhotoServer, target: Path, size: int) -> None:
    served = ServedFile(BODY)
    words = refused(photo_server, served, target, size=size)
    assert f"expected {size} bytes" in words
    assert f"offers {len(BODY)}" in words
    assert left_in(target) == []


def test_a_body_without_length_that_is_too_long_is_refused(photo_server: PhotoServer, target: Path) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(BODY)

    served = ServedFile(BODY[:-10])
    with pytest.raises(DownloadError, match=f"expected {len(BODY) - 10} bytes .* got {len(BODY) - 9}"):
        download(photo_server.answer("/sam.pth", answer), target, len(served.body), served.sha256, LIMITS)
    assert left_in(target) == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(photo_server: PhotoServer, target: Path, status: int) -> None:
    url = photo_server.serve("/sam.pth", b"no", status=status)
    with pytest.raises(DownloadError, match=f"answered {status}"):
        download(url, target, len(BODY), "", LIMITS)
    assert photo_server.asked == ["/sam.pth"]
    assert left_in(target) == []


def test_an_error_that_may_pass_is_tried_again(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY)

    def answer(request: BaseHTTPRequestHandler) -> None:
        if len(photo_server.asked) < 3:
            request.send_error(503)
        else:
            served(request)

    download(photo_server.answer("/sam.pth", answer), target, len(BODY), served.sha256, LIMITS)
    assert target.read_bytes() == BODY


def test_redirects_are_followed_with_the_range(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, cuts=[1_000_000])
    elsewhere = photo_server.answer("/store", served)
    url = photo_server.serve("/sam.pth", b"", status=302, Location=elsewhere)
    download(url, target, len(BODY), served.sha256, LIMITS)
    assert target.read_bytes() == BODY
    assert served.sent == len(BODY)


@pytest.mark.security
@pytest.mark.parametrize(
    "place", ["http://localhost:1/sam.pth", "http://169.254.169.254/x", "http://user:pw@10.0.0.1/x"]
)
def test_redirects_into_private_networks_are_not_followed(photo_server: PhotoServer, target: Path, place: str) -> None:
    url = photo_server.serve("/sam.pth", b"", status=302, Location=place)
    with pytest.raises(DownloadError, match="redirects to http") as caught:
        download(url, target, len(BODY), "", LIMITS)
    assert "pw" not in str(caught.value)
    assert len(photo_server.asked) == 1


@pytest.mark.security
def test_what_came_so_far_is_never_a_link(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY)
    target.parent.mkdir(parents=True)
    (target.parent / "precious").write_bytes(b"precious")
    for suffix in ("part", "part.tag"):
        target.with_name(f"{target.name}.{suffix}").symlink_to(target.parent / "precious")
    download(photo_server.answer("/sam.pth", served), target, len(BODY), served.sha256, LIMITS)
    assert target.read_bytes() == BODY
    assert not target.is_symlink()
    assert (target.parent / "precious").read_bytes() == b"precious"


def test_a_silent_server_is_not_waited_for(photo_server: PhotoServer, target: Path) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(BODY)))
        request.end_headers()
        request.wfile.write(BODY[:1000])
        request.wfile.flush()
        time.sleep(2)

    with pytest.raises(DownloadError, match=r"silent for 0\.5 s"):
        download(
            photo_server.answer("/sam.pth", answer),
            target,
            len(BODY),
            "",
            DownloadLimits(read_s=0.5, attempts=1, pause_s=0),
        )


def test_no_server_is_told_without_waiting(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"waited for {seconds} s"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match="no connection to http"):
        download(f"http://127.0.0.1:{port}/sam.pth", target, 5, "", DownloadLimits(attempts=5, pause_s=1))


def test_a_folder_that_is_a_file_is_one_line(photo_server: PhotoServer, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    words = refused(photo_server, ServedFile(BODY), tmp_path / "cache" / "sam.pth", kind=WeightsError)
    assert "could not write" in words


def test_too_little_space_is_noticed_before_the_first_byte(
    photo_server: PhotoServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(target.parent.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    served = ServedFile(BODY)
    assert "expected 3 MB of free space" in refused(photo_server, served, target, kind=WeightsError)
    assert served.asked == []


def program(url: str, target: Path, served: ServedFile) -> list[str]:
    code = (
        "import sys; from pathlib import Path; from models.weights.download import *\n"
        "from surfaces.errors import WeightsError\n"
        f"try: download({url!r}, Path({str(target)!r}), {len(served.body)}, {served.sha256!r})\n"
        "except WeightsError as error: sys.exit(f'told: {error}')"
    )
    return [sys.executable, "-c", code]


def test_a_full_disk_is_one_line_and_what_came_is_kept(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY)
    url = photo_server.answer("/sam.pth", served)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))

    run = subprocess.run(
        program(url, target, served), preexec_fn=small_files, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 1
    assert "told: could not write" in run.stderr
    assert "Traceback" not in run.stderr
    assert part_of(target).stat().st_size == 1_000_000
    fetch(photo_server, served, target)
    assert target.read_bytes() == BODY


def test_a_killed_process_is_gone_on_with(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, pause_s=0.05)
    url = photo_server.answer("/sam.pth", served)
    process = subprocess.Popen(program(url, target, served), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while served.sent < 500_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = part_of(target).stat().st_size
    assert 100_000 < kept < len(BODY)
    served.pause_s = 0
    fetch(photo_server, served, target)
    assert target.read_bytes() == BODY
    assert served.asked[-1] == (f"bytes={kept}-", '"one"')


def test_of_two_processes_one_downloads(photo_server: PhotoServer, target: Path) -> None:
    served, asked, go_on = ServedFile(BODY), threading.Event(), threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        go_on.wait(20)
        served(request)

    command = program(photo_server.answer("/sam.pth", answer), target, served)
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert asked.wait(20)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as second:
        assert second.stderr
        assert second.stderr.readline() == "waiting for another process that downloads sam.pth\n"
        go_on.set()
        assert second.stderr.read() == ""
    assert first.communicate(timeout=20)[1].count("downloading http") == 1
    assert (first.returncode, second.returncode) == (0, 0)
    assert target.read_bytes() == BODY
    assert len(served.asked) == 1
