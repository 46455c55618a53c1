"""Weights for people who have access: a loopback hub that gives them, refuses, or has others."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from models.weights.gated import SAM3
from tests.photo_servers import PhotoServer

pytest.importorskip("huggingface_hub")

ROOT = Path(__file__).parents[3]
BODIES = {"config.json": b'{"model_type": "sam3"}', "tokenizer.json": b"{}", "model.safetensors": b"tensors" * 1000}
PROGRAM = """
import dataclasses, sys
from models.weights.gated import SAM3, find_gated
from surfaces.errors import WeightsError
wanted = dataclasses.replace(SAM3, files=SAM3.files | {"model.safetensors": sys.argv[1]})
try:
    print(find_gated(wanted))
except WeightsError as error:
    print("error:", error)
"""
SHA256 = hashlib.sha256(BODIES["model.safetensors"]).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def find(server: PhotoServer, cache: Path, sha256: str = SHA256) -> str:
    """What a process prints that finds SAM 3's files, with the hub on the loopback interface."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))} | {
        "HF_ENDPOINT": server.url(""),
        "HF_HOME": str(cache.parent / "hub"),
        "HF_HUB_DISABLE_XET": "1",
        "INTERIOR_SURFACES_CACHE": str(cache),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", PROGRAM, sha256]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=cache.parent)
    (line,) = ran.stdout.splitlines()
    return line


def serve(server: PhotoServer, bodies: dict[str, bytes] = BODIES) -> None:
    for name, body in bodies.items():
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        server.serve(f"/facebook/sam3/resolve/{SAM3.revision}/{name}", body, ETag=etag, X_Repo_Commit=SAM3.revision)


def refuse(server: PhotoServer, status: int, **headers: str) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": "0", **{k.replace("_", "-"): v for k, v in headers.items()}}.items():
            request.send_header(name, value)
        request.end_headers()

    for name in BODIES:
        server.answer(f"/facebook/sam3/resolve/{SAM3.revision}/{name}", answer)


def test_files_are_fetched_once_and_their_hashes_are_recorded(photo_server: PhotoServer, cache: Path) -> None:
    serve(photo_server)
    assert find(photo_server, cache) == str(cache / "sam3")
    assert {name: (cache / "sam3" / name).read_bytes() for name in BODIES} == BODIES
    recorded = json.loads((cache / "sam3" / "sha256.json").read_text())
    assert recorded == {name: hashlib.sha256(body).hexdigest() for name, body in BODIES.items()}
    asked = len(photo_server.asked)
    assert find(photo_server, cache) == str(cache / "sam3")
    assert len(photo_server.asked) == asked


def test_other_bytes_are_refused(photo_server: PhotoServer, cache: Path) -> None:
    serve(photo_server)
    assert find(photo_server, cache, "0" * 64).startswith(
        f"error: expected sha256 000000000000… of {cache / 'sam3' / 'model.safetensors'}, got {SHA256[:12]}…: remove it"
    )
    find(photo_server, cache)
    (cache / "sam3" / "tokenizer.json").write_bytes(b"another")
    assert find(photo_server, cache).startswith("error: expected sha256 44136fa355b3… of ")


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (401, {"X_Error_Code": "GatedRepo"}),
        (403, {"X_Error_Code": "GatedRepo"}),
        (404, {"X_Error_Code": "RepoNotFound"}),
    ],
    ids=["not logged in", "no access", "hidden"],
)
def test_refused_access_is_one_line(
    photo_server: PhotoServer, cache: Path, status: int, headers: dict[str, str]
) -> None:
    refuse(photo_server, status, **headers)
    assert find(photo_server, cache) == (
        "error: facebook/sam3 is for people who have accepted its licence (SAM License) at "
        "https://huggingface.co/facebook/sam3: do that, then `hf auth login`; or name a folder with its files with "
        "--weights"
    )
    assert not (cache / "sam3" / "sha256.json").exists()


def test_a_hub_that_fails_is_one_line(photo_server: PhotoServer, cache: Path) -> None:
    refuse(photo_server, 404)
    assert find(photo_server, cache).startswith("error: config.json of facebook/sam3 could not be downloaded: ")
