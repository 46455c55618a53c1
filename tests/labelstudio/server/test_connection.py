"""The connection to a server: the real one with both kinds of token; others that are away, broken or something else."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import jwt
import pytest

from labelstudio.errors import ProjectError, ServerUnavailableError, TokenError
from labelstudio.server.connection import add_server_arguments, connect, open_server, server_errors
from tests.labelstudio.impostors import WHO, Impostor, Response, impostor_at, redirects, says
from tests.labelstudio.servers import TestServer

TOKEN = "0123456789abcdef0123456789abcdef01234567"
BAD_GATEWAY = says(502, "<html>Bad gateway</html>", "text/html")
PACKED = says(200, gzip.compress(b" " * 100_000), Content_Encoding="gzip")
Start = Callable[..., Impostor]


def breaks_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"id": ')
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b" " * 4096)


@pytest.fixture
def impostor() -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda *answers: stack.enter_context(impostor_at(*answers))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labelstudio.server.connection.time.sleep", lambda _: None)


def arguments(home: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_server_arguments(parser)
    return parser.parse_args(["--home", str(home), *more])


@pytest.fixture
def personal_token(label_studio: TestServer) -> Iterator[str]:
    """A personal access token, as the page of one's account makes it: one at a time."""
    answer = label_studio.session.post("/api/token/")
    assert answer.status_code == 201
    yield answer.json()["token"]
    label_studio.session.post("/api/token/blacklist/", json={"refresh": answer.json()["token"]})


def test_a_legacy_token(label_studio: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # not for loopback
    monkeypatch.delenv("NO_PROXY", raising=False)
    server = open_server(label_studio.url + "/", label_studio.account.token + "\n")
    assert server.url == label_studio.url
    assert server.client.users.whoami().email == label_studio.account.username
    assert server.session.get("/api/current-user/whoami").json()["email"] == label_studio.account.username


def test_a_personal_access_token_is_sent_only_for_a_short_lived_one(
    label_studio: TestServer, personal_token: str
) -> None:
    server = open_server(label_studio.url, personal_token)
    answer = server.session.get("/api/current-user/whoami")
    assert answer.json()["email"] == label_studio.account.username
    kind, _, sent = answer.request.headers["Authorization"].partition(" ")
    assert kind == "Bearer"
    assert sent != personal_token

    label_studio.session.post("/api/token/blacklist/", json={"refresh": personal_token})
    with pytest.raises(TokenError, match="rejects the token") as caught:
        open_server(label_studio.url, personal_token)
    assert personal_token not in str(caught.value)


@pytest.mark.parametrize("token", [TOKEN, "nonsense", "a.b.c"])
def test_a_wrong_token(label_studio: TestServer, token: str) -> None:
    with pytest.raises(TokenError, match=r"rejects the token \(HTTP 401\): Invalid token\.$"):
        open_server(label_studio.url, token)


@pytest.mark.parametrize("token", ["", "  ", "two words", "ünsigned", "line\nbreak"])
def test_invalid_tokens_are_not_sent(token: str) -> None:
    with pytest.raises(TokenError, match="is no token") as caught:
        open_server("http://127.0.0.1:1", token)
    assert not token.strip() or token not in str(caught.value)


def test_no_token_is_printed_or_logged(
    label_studio: TestServer, personal_token: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for token in (label_studio.account.token, personal_token):
        server = open_server(label_studio.url, token)
        server.session.get("/api/projects")
        assert token not in repr(server) + repr(label_studio) + repr(label_studio.local.account())
    told = "".join([caplog.text, *capfd.readouterr(), label_studio.local.log_path.read_text("utf-8")])
    for secret in (label_studio.account.token, label_studio.account.password, personal_token):
        assert secret not in told


def test_the_token_goes_to_its_server_alone(label_studio: TestServer, impostor: Start) -> None:
    other = impostor(WHO)
    label_studio.session.get(f"{other.url}/photo.jpg")
    assert other.seen == [("GET", "/photo.jpg", None)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_call_follows_to_another_server(impostor: Start, status: int) -> None:
    other = impostor(WHO)
    opened = open_server(impostor(WHO, redirects(f"{other.url}/api/", status)).url, TOKEN)
    words = rf"redirects to {other.url}/api/, which is not followed.* with --url"
    for call in (lambda: opened.session.get("/api/projects/1"), lambda: opened.client.projects.create(title="new")):
        with pytest.raises(ServerUnavailableError, match=words), server_errors():
            call()
    assert other.seen == []


def test_a_personal_token_is_not_refreshed_elsewhere(impostor: Start) -> None:
    other = impostor(says(200, {"access": "theirs"}))
    token = jwt.encode({"exp": 1 << 33, "token_type": "refresh"}, "k" * 32)
    with pytest.raises(ServerUnavailableError, match="redirects to"):
        open_server(impostor(redirects(f"{other.url}/api/token/refresh/", 307)).url, token)
    assert other.seen == []


@pytest.mark.usefixtures("impatient")
def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ServerUnavailableError, match=rf"at http://127\.0\.0\.1:{port} does not answer: .*refused"):
        open_server(f"http://127.0.0.1:{port}", TOKEN)


@pytest.mark.usefixtures("impatient")
def test_transient_errors_are_retried(impostor: Start) -> None:
    flaky = impostor(BAD_GATEWAY, breaks_off, says(429, {}), WHO)
    assert open_server(flaky.url, TOKEN).client.users.whoami().email == "reviewer@example.com"
    assert len(flaky.seen) == 5


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (endless, "at most 0.01 MB"),
        (says(200, "", Content_Length="1" * 12), "at most 0.01 MB"),
        (PACKED, "an uncompressed response"),
        (BAD_GATEWAY, r"failed \(HTTP 502\); try"),
        (breaks_off, "does not answer: peer closed connection"),
        (says(404, "<html>Not found</html>", "text/html"), r"HTTP 404\)$"),
        *((says(200, body, "text/html"), "no Label Studio") for body in ("<html>Welcome</html>", "[]", '"hello"')),
        (redirects("http://[::1"), "Invalid URL in location header"),
        (redirects("//h:port/"), "Invalid URL in location header"),
        (redirects("file:///etc/passwd"), "which is not followed"),
        (redirects("http://me:secret-word@h/"), "which is not followed"),
        (redirects("/api/\x1b[31m"), "which is not followed|Invalid URL in location header"),
    ],
)
def test_a_server_that_is_no_working_label_studio(
    impostor: Start, answer: Response, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelstudio.server.connection._BODY_BYTES_MAX", 10_000)
    with pytest.raises(ProjectError if "404" in words else ServerUnavailableError, match=words) as caught:
        open_server(impostor(answer).url, TOKEN)
    assert str(caught.value).isprintable()
    assert "secret-word" not in str(caught.value)


@pytest.mark.usefixtures("impatient")
def test_requests_that_may_have_arrived_are_not_retried(impostor: Start) -> None:
    server = impostor(WHO, breaks_off)
    opened = open_server(server.url, TOKEN)
    with pytest.raises(ServerUnavailableError), server_errors():
        opened.client.projects.create(title="once")
    assert [method for method, *_ in server.seen] == ["GET", "POST"]


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (400, {"detail": "Invalid", "validation_errors": {"title": "Too\tshort"}}, ProjectError, '"Too.{1,2}short"'),
        (403, {"detail": "Not yours"}, TokenError, "Not yours"),
        (500, {"detail": "x" * 5000}, ServerUnavailableError, "x{300};"),
    ],
)
def test_the_servers_words_on_one_line(
    impostor: Start, status: int, body: Any, error: type[Exception], words: str
) -> None:
    opened = open_server(impostor(WHO, says(status, body)).url, TOKEN)
    with pytest.raises(error, match=words) as caught, server_errors():
        opened.client.projects.get(1)
    with pytest.raises(error), server_errors():
        opened.session.get("/api/projects/1").raise_for_status()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://me:secret-word@localhost:8080", "user name or password"),
        *(
            (url, "http://localhost:8080")
            for url in ("localhost:8080", "ftp://h", "http://", "http://[::1", "http://h:x")
        ),
    ],
)
def test_invalid_server_urls(url: str, words: str) -> None:
    with pytest.raises(ServerUnavailableError, match=words) as caught:
        open_server(url, TOKEN)
    assert "secret-word" not in str(caught.value)


def test_the_environment_names_the_server(
    label_studio: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, impostor: Start
) -> None:
    home, other = label_studio.local.home, impostor(WHO)
    monkeypatch.setenv("LABEL_STUDIO_URL", other.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    assert connect(arguments(home)).url == other.url
    assert connect(arguments(tmp_path)).url == other.url
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.account.token)
    assert connect(arguments(tmp_path, "--url", label_studio.url)).url == label_studio.url

    monkeypatch.delenv("LABEL_STUDIO_URL")
    with pytest.raises(ServerUnavailableError, match="python -m labelstudio up"):
        connect(arguments(tmp_path))
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "of another server")
    assert connect(arguments(home)).url == label_studio.url, "the started one, with its own token"

    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    assert connect(arguments(home)).url == label_studio.url, "our own account"
    with pytest.raises(TokenError, match="LABEL_STUDIO_API_KEY"):
        connect(arguments(tmp_path))


def test_the_command_tells_it_in_one_line(label_studio: TestServer, tmp_path: Path) -> None:
    environment = {"PATH": "", "LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": TOKEN}
    command = [sys.executable, "-m", "labelstudio", "init", "--home", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (TokenError.exit_code, "")
    assert done.stderr == "labelstudio: Label Studio rejects the token (HTTP 401): Invalid token.\n"
