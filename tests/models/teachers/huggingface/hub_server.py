"""A hub on loopback that speaks the routes of huggingface_hub that a download needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Hub:
    """Serves one model repository from a folder.

    Attributes:
        name: of the repository.
        folder: its files at every revision.
        revisions: commits by the names of branches and tags.
        card: the metadata of its model card.
        listed: hashes that the hub lists for large files where they are not those of the files.
        refused: files that answer with an error.
        requests: all that were answered, as `METHOD path`.
    """

    name: str
    folder: Path
    revisions: dict[str, str] = field(default_factory=lambda: {"main": "a" * 40})
    card: dict[str, str] = field(default_factory=lambda: {"license": "mit"})
    listed: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    address: str = ""

    def info(self, revision: str) -> dict[str, Any] | None:
        """The answer of `api/models/NAME/revision/REVISION`."""
        commit = self.revisions.get(revision, revision)
        if commit not in self.revisions.values():
            return None
        siblings = []
        for path in sorted(self.folder.iterdir()):
            entry: dict[str, Any] = {"rfilename": path.name, "size": path.stat().st_size, "blobId": "0" * 40}
            if path.suffix == ".safetensors":
                sha256 = self.listed.get(path.name) or hashlib.sha256(path.read_bytes()).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": entry["size"], "pointerSize": 134}
            siblings.append(entry)
        return {"_id": "0", "id": self.name, "sha": commit, "siblings": siblings, "cardData": self.card, "tags": []}


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(True)

        def do_HEAD(self) -> None:
            self._answer(False)

        def _answer(self, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(f"{self.command} {path}")
            if path.startswith(api := f"/api/models/{hub.name}/revision/"):
                found = hub.info(path.removeprefix(api))
                if found is None:
                    self._send(404, b"", {"X-Error-Code": "RevisionNotFound"}, body)
                else:
                    self._send(200, json.dumps(found).encode(), {"Content-Type": "application/json"}, body)
            elif path.startswith(files := f"/{hub.name}/resolve/"):
                commit, _, name = path.removeprefix(files).partition("/")
                if name in hub.refused:
                    self._send(403, b"", {}, body)
                    return
                content = (hub.folder / name).read_bytes()
                etag = f'"{hashlib.sha256(content).hexdigest()}"'
                self._send(200, content, {"ETag": etag, "X-Repo-Commit": commit}, body)
            else:
                self._send(404, b"", {"X-Error-Code": "RepoNotFound"}, body)

        def _send(self, status: int, content: bytes, headers: dict[str, str], body: bool) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serves a hub at its `address` within the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub)) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        hub.address = f"http://127.0.0.1:{server.server_port}"
        yield hub
        server.shutdown()
        thread.join()
