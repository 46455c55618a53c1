"""Hostile URLs in lists and label stores: none is contacted, nothing is run, each is reported."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autolabel.labelling.corpus import read_corpus
from surfaces.errors import FetchError, SurfacesError
from surfaces.io.storage import is_remote, read_bytes, require_allowed
from surfaces.store.label_store import LabelStore

pytestmark = pytest.mark.security

PASSWORD = "hunter2"


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A loopback port, and a record of connections to it."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    heard.append(b"connected")

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], heard


def attacks(port: int, folder: Path) -> list[str]:
    template = {"version": 1, "templates": {"x": "{{ cycler.__init__ }}"}, "refs": {"a.jpg": ["{{x}}"]}}
    (folder / "refs.json").write_text(json.dumps(template))
    os.mkfifo(folder / "pipe.jpg")
    here = f"127.0.0.1:{port}"
    return [
        f"webhdfs://{here}/room.jpg",
        f"ftp://user:{PASSWORD}@{here}/room.jpg",
        f"sftp://user:{PASSWORD}@{here}/room.jpg",
        f"zip://room.jpg::http://{here}/rooms.zip",
        f"simplecache::s3://{here}/room.jpg",
        f"reference://a.jpg::{folder / 'refs.json'}",
        f"local://{folder / 'pipe.jpg'}",
        f"jupyter://{here}/room.jpg",
        f"HTTP://{here}/room.jpg",
        f"s3://user:{PASSWORD}@{here}/room.jpg",
        str(folder / "pipe.jpg"),
    ]


def run(*words: object, package: str = "autolabel") -> subprocess.CompletedProcess[str]:
    ran = subprocess.run([sys.executable, "-m", package, *map(str, words)], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in ran.stderr
    assert PASSWORD not in ran.stdout + ran.stderr
    return ran


def test_no_line_of_a_list_contacts_other_hosts(
    tmp_path: Path, room_path: Path, listener: tuple[int, list[bytes]]
) -> None:
    port, heard = listener
    places = attacks(port, tmp_path)
    (tmp_path / "photos.txt").write_text("\n".join([*places, str(room_path)]))
    ran = run("run", tmp_path / "photos.txt", "--out", tmp_path / "set", "--teacher", "student")
    assert ran.returncode == 10, ran.stderr
    assert f"1 labelled, 0 labelled before, {len(places)} skipped" in ran.stderr
    status = run("status", tmp_path / "set", "--failures")
    assert status.stdout.count("expected") == len(places) - 3  # photos on the web and pipes have other messages
    assert run("status", tmp_path / "set", "--json").returncode == 0
    assert heard == []


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory, room_path: Path) -> Path:
    """A labelled photo."""
    folder = tmp_path_factory.mktemp("honest")
    assert run("run", shutil.copy(room_path, folder), "--out", folder / "set", "--teacher", "student").returncode == 0
    return folder / "set"


def rewritten(honest: Path, folder: Path, *statements: str) -> Path:
    """A copy of a store with some changes."""
    shutil.copytree(honest, folder)
    connection = sqlite3.connect(folder / "labels.sqlite")
    connection.executescript(";".join(statements))
    connection.close()
    return folder


@pytest.mark.parametrize("command", ["export", "report", "merge"])
def test_no_path_of_a_store_contacts_other_hosts(
    tmp_path: Path, honest: Path, listener: tuple[int, list[bytes]], command: str
) -> None:
    port, heard = listener
    for number, place in enumerate(attacks(port, tmp_path)[:-1]):
        store = rewritten(honest, tmp_path / f"store-{number}", f"UPDATE sources SET path = '{place}'")
        flags = ["--format", "coco"] if command == "export" else []
        ran = run(command, store, "--out", tmp_path / f"out-{number}", *flags)
        assert command == "report" or ran.returncode == 8, place
    assert heard == []


@pytest.mark.parametrize(
    "statements",
    [
        ("ALTER TABLE sources RENAME TO hidden", "CREATE VIEW sources AS SELECT * FROM hidden"),
        ("CREATE TRIGGER t AFTER UPDATE ON photos BEGIN DELETE FROM segments; END",),
        ("CREATE VIRTUAL TABLE words USING fts5(word)",),
    ],
    ids=["view", "trigger", "virtual table"],
)
def test_a_store_has_plain_tables(tmp_path: Path, honest: Path, statements: tuple[str, ...]) -> None:
    store = rewritten(honest, tmp_path / "store", *statements)
    for ran in (run("status", store), run("merge", store, "--out", tmp_path / "merged")):
        assert ran.returncode == 8
        assert "expected a store of labels of plain tables" in ran.stderr


@given(st.text(max_size=30), st.sampled_from(["", "://", "::", "://a:b@", ":/", "://x::y://"]), st.text(max_size=30))
def test_any_url_is_refused_or_allowed(scheme: str, between: str, rest: str) -> None:
    place = f"{scheme}{between}{rest}"
    if is_remote(place):
        try:
            require_allowed(place)
        except FetchError:
            with pytest.raises(FetchError):
                read_bytes(place)
        else:
            assert place.partition("://")[0].lower() in ("s3", "s3a", "gs", "gcs", "memory")


def test_a_pipe_in_place_of_a_photo_is_not_linked_to(tmp_path: Path, honest: Path, room_path: Path) -> None:
    copy = shutil.copy(room_path, tmp_path / "z.jpg")
    os.mkfifo(tmp_path / "a.jpg")  # the first of the photo's paths
    change = f"UPDATE sources SET path = '{copy}'"
    add = f"INSERT INTO sources SELECT '{tmp_path / 'a.jpg'}', 'pipe', corpus, sha256 FROM sources"
    store = rewritten(honest, tmp_path / "store", change, add)
    ran = run("export", store, "--out", tmp_path / "out", "--format", "coco", "--link")
    assert ran.returncode == 0, ran.stderr
    (photo,) = (tmp_path / "out" / "images").iterdir()
    assert photo.samefile(copy)


def test_a_stored_photo_shows_no_password(tmp_path: Path, honest: Path) -> None:
    store = rewritten(honest, tmp_path / "store", f"UPDATE sources SET path = 'ftp://user:{PASSWORD}@host/room.jpg'")
    with LabelStore.open(store) as opened:
        assert [photo.source for photo in opened.photos()] == ["ftp://…@host/room.jpg"]


def test_schemes_are_allowed_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERIOR_SURFACES_STORAGE")
    with pytest.raises(FetchError, match="INTERIOR_SURFACES_STORAGE allows others"):
        read_bytes("memory://room.jpg")
    monkeypatch.setenv("INTERIOR_SURFACES_STORAGE", "abfs, memory")
    with pytest.raises(FetchError, match="no such object"):
        read_bytes("memory://room.jpg")
    with pytest.raises(FetchError, match="expected a path or an address"):
        read_bytes("memory://room.jpg::memory://x")


@given(st.binary(max_size=400), st.sampled_from([".txt", ".csv", ".jsonl"]))
def test_any_list_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"list{suffix}"
    path.write_bytes(data)
    with contextlib.suppress(SurfacesError):
        assert read_corpus(path).photos


@example([(0.0390625, b"\x80")])  # in the schema
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), max_size=12))
def test_any_damage_of_a_store_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, honest: Path, damage: list[tuple[float, bytes]]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    data = bytearray((honest / "labels.sqlite").read_bytes())
    for where, patch in damage:
        at = int(where * len(data))
        data[at : at + len(patch)] = patch
    (folder / "labels.sqlite").write_bytes(data)
    try:
        with LabelStore.open(folder) as store:
            for photo in store.photos():
                store.labels(photo.sha256)
            list(store.failures())
    except SurfacesError:
        pass


@pytest.mark.parametrize(
    ("code", "command"),
    [
        (11, "autolabel run {room} --out {out} --classes {pipe}"),
        (11, "autolabel run {room} --out {out} --teacher {pipe}"),
        (8, "autolabel run {pipe} --out {out}"),
        (21, "autolabel crawl --urls {pipe} --out {out}"),
        (11, "distill train --config {pipe} --data {out} --run {out}"),
    ],
    ids=["classes", "teacher", "photos", "urls", "config"],
)
def test_a_pipe_in_place_of_a_file_is_refused(tmp_path: Path, room_path: Path, code: int, command: str) -> None:
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    package, *words = command.format(pipe=pipe, room=room_path, out=tmp_path / "out").split()
    ran = run(*words, package=package)
    assert ran.returncode == code, ran.stderr
    assert "expected" in ran.stderr
