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
from tests.models.weights.weights_server import ServedFile, answer
from tests.photo_servers import PhotoServer, Response

BODY = os.urandom(3_000_000)
SIZE = len(BODY)
LIMITS = DownloadLimits(connect_s=2, read_s=5, attempts=3, pause_s=0.01)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "sam.pth"


def part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def fetch(
    server: PhotoServer, response: Response, target: Path, size: int = SIZE, sha256: str = ServedFile(BODY).sha256
) -> None:
    download(server.answer("/sam.pth", response), target, size, sha256, LIMITS)


def check_fetched(server: PhotoServer, response: Response, target: Path) -> None:
    fetch(server, response, target)
    assert target.read_bytes() == BODY
    assert left_in(target) == ["sam.pth"]


def refused(
    server: PhotoServer, response: Response, target: Path, kind: type = DownloadError, **expected: int | str
) -> str:
    with pytest.raises(kind) as caught:
        fetch(server, response, target, **expected)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    return str(caught.value)


def left_in(target: Path) -> list[str]:
    return sorted(
        path.name
        for path in target.parent.iterdir()
        if path.is_file() and not path.name.endswith((".lock", "precious"))
    )


def test_a_file_is_fetched_once_and_nothing_else_is_left(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY)
    check_fetched(photo_server, served, target)
    assert photo_server.agents == [USER_AGENT]
    check_fetched(photo_server, served, target)
    assert served.asked == [(None, None)]


def test_a_download_resumes_where_it_broke_off(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, cuts=[1_000_000, 500_000])
    check_fetched(photo_server, served, target)
    assert served.asked == [(None, None), ("bytes=1000000-", '"one"'), ("bytes=1500000-", '"one"')]
    assert served.sent == SIZE


def test_any_number_of_breaks_is_survived_while_bytes_come(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, cuts=[200_000] * 14)
    check_fetched(photo_server, served, target)
    assert served.sent == SIZE


def test_breaks_without_a_new_byte_are_counted(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, cuts=[1_000_000, 0, 0, 0, 0, 0])
    assert "broke off" in refused(photo_server, served, target)
    assert len(served.asked) == LIMITS.attempts
    assert part_of(target).read_bytes() == BODY[:1_000_000]
    served.cuts.clear()
    check_fetched(photo_server, served, target)
    assert served.sent == SIZE


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
        limits = DownloadLimits(connect_s=2, read_s=2, attempts=10, pause_s=0.0)
        download(server.answer("/sam.pth", served), target, len(served.body), served.sha256, limits)
        server.shutdown()
    assert target.read_bytes() == served.body


def test_a_server_without_ranges_starts_again(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, cuts=[1_000_000], ranges=False)
    check_fetched(photo_server, served, target)
    assert served.asked[1][0] == "bytes=1000000-"
    assert served.sent == 1_000_000 + SIZE


def test_a_file_that_changed_meanwhile_starts_again(photo_server: PhotoServer, target: Path) -> None:
    refused(photo_server, ServedFile(bytes(SIZE), etag='"old"', cuts=[1_000_000, 0, 0, 0]), target)
    assert part_of(target).stat().st_size == 1_000_000
    served = ServedFile(BODY, etag='"new"')
    check_fetched(photo_server, served, target)
    assert served.asked == [("bytes=1000000-", '"old"')]


def test_another_range_than_requested_starts_again(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, cuts=[1_000_000])

    def respond(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("Range"):
            answer(request, 206, BODY[:100], content_range=f"bytes 0-99/{SIZE}", content_length=100)
        else:
            served(request)

    check_fetched(photo_server, respond, target)


def test_a_part_longer_than_the_file_is_dropped(photo_server: PhotoServer, target: Path) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(bytes(SIZE + 5))
    assert f"expected {SIZE} bytes" in refused(photo_server, ServedFile(BODY), target)
    check_fetched(photo_server, ServedFile(BODY), target)


def test_a_part_that_is_whole_already_is_only_renamed(photo_server: PhotoServer, target: Path) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(BODY)
    served = ServedFile(BODY)
    check_fetched(photo_server, served, target)
    assert served.asked == []


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"sha256": "ab" * 32}, ["abababababab", ServedFile(BODY).sha256[:12]]),
        ({"size": SIZE - 1}, [f"expected {SIZE - 1} bytes", f"offers {SIZE}"]),
        ({"size": SIZE + 1}, [f"expected {SIZE + 1} bytes", f"offers {SIZE}"]),
    ],
    ids=["other bytes", "shorter", "longer"],
)
def test_another_file_is_refused_and_removed(
    photo_server: PhotoServer, target: Path, expected: dict[str, int | str], words: list[str]
) -> None:
    message = refused(photo_server, ServedFile(BODY), target, **expected)
    assert all(word in message for word in words)
    assert left_in(target) == []


def test_a_body_without_length_that_is_too_long_is_refused(photo_server: PhotoServer, target: Path) -> None:
    message = refused(photo_server, lambda request: answer(request, 200, BODY), target, size=SIZE - 10)
    assert f"expected {SIZE - 10} bytes" in message
    assert f"got {SIZE - 9}" in message
    assert left_in(target) == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(photo_server: PhotoServer, target: Path, status: int) -> None:
    assert f"answered {status}" in refused(photo_server, lambda request: answer(request, status), target)
    assert photo_server.asked == ["/sam.pth"]
    assert left_in(target) == []


def test_a_transient_error_is_retried(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY)

    def respond(request: BaseHTTPRequestHandler) -> None:
        if len(photo_server.asked) < 3:
            request.send_error(503)
        else:
            served(request)

    check_fetched(photo_server, respond, target)


def test_redirects_are_followed_with_the_range(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, cuts=[1_000_000])
    elsewhere = photo_server.answer("/store", served)
    check_fetched(photo_server, lambda request: answer(request, 302, location=elsewhere), target)
    assert served.sent == SIZE


@pytest.mark.security
@pytest.mark.parametrize(
    "place", ["http://localhost:1/sam.pth", "http://169.254.169.254/x", "http://user:pw@10.0.0.1/x"]
)
def test_redirects_into_private_networks_are_not_followed(photo_server: PhotoServer, target: Path, place: str) -> None:
    message = refused(photo_server, lambda request: answer(request, 302, location=place), target)
    assert "redirects to http" in message
    assert "pw" not in message
    assert len(photo_server.asked) == 1


@pytest.mark.security
def test_a_link_in_place_of_the_part_is_not_followed(photo_server: PhotoServer, target: Path) -> None:
    target.parent.mkdir(parents=True)
    (target.parent / "precious").write_bytes(b"precious")
    for suffix in ("part", "part.tag"):
        target.with_name(f"{target.name}.{suffix}").symlink_to(target.parent / "precious")
    check_fetched(photo_server, ServedFile(BODY), target)
    assert not target.is_symlink()
    assert (target.parent / "precious").read_bytes() == b"precious"


def test_a_silent_server_is_given_up(photo_server: PhotoServer, target: Path) -> None:
    def respond(request: BaseHTTPRequestHandler) -> None:
        answer(request, 200, BODY[:1000], content_length=SIZE)
        time.sleep(2)

    with pytest.raises(DownloadError, match=r"silent for 0\.5 s"):
        download(
            photo_server.answer("/sam.pth", respond),
            target,
            SIZE,
            "",
            DownloadLimits(read_s=0.5, attempts=1, pause_s=0),
        )


def test_no_server_is_reported_without_waiting(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"waited for {seconds} s"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match="no connection to http"):
        download(f"http://127.0.0.1:{port}/sam.pth", target, 5, "", DownloadLimits(attempts=5, pause_s=1))


def test_a_folder_that_is_a_file_is_one_line(photo_server: PhotoServer, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    words = refused(photo_server, ServedFile(BODY), tmp_path / "cache" / "sam.pth", WeightsError)
    assert "could not write" in words


def test_too_little_space_is_noticed_before_the_first_byte(
    photo_server: PhotoServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(target.parent.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    assert "expected 3 MB of free space" in refused(photo_server, ServedFile(BODY), target, WeightsError)
    assert photo_server.asked == []


def program(url: str, target: Path) -> list[str]:
    code = (
        "import sys; from pathlib import Path; from models.weights.download import *\n"
        "from surfaces.errors import WeightsError\n"
        f"try: download({url!r}, Path({str(target)!r}), {SIZE}, {ServedFile(BODY).sha256!r})\n"
        "except WeightsError as error: sys.exit(f'told: {error}')"
    )
    return [sys.executable, "-c", code]


def test_a_full_disk_is_one_line_and_the_part_is_kept(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))

    command = program(photo_server.answer("/sam.pth", served), target)
    run = subprocess.run(command, preexec_fn=small_files, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert "told: could not write" in run.stderr
    assert "Traceback" not in run.stderr
    assert part_of(target).stat().st_size == 1_000_000
    check_fetched(photo_server, served, target)


def test_a_killed_process_is_resumed(photo_server: PhotoServer, target: Path) -> None:
    served = ServedFile(BODY, pause_s=0.05)
    process = subprocess.Popen(program(photo_server.answer("/sam.pth", served), target), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while served.sent < 500_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = part_of(target).stat().st_size
    assert 100_000 < kept < SIZE
    served.pause_s = 0
    check_fetched(photo_server, served, target)
    assert served.asked[-1] == (f"bytes={kept}-", '"one"')


def test_of_two_processes_one_downloads(photo_server: PhotoServer, target: Path) -> None:
    served, asked, go_on = ServedFile(BODY), threading.Event(), threading.Event()

    def respond(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        go_on.wait(20)
        served(request)

    command = program(photo_server.answer("/sam.pth", respond), target)
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
