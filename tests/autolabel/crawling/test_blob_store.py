"""Storage of photos in folders and at URLs; a corpus in object storage (servers on loopback), killed and resumed."""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import fsspec
import pyarrow.parquet
import pytest

from autolabel.__main__ import main
from autolabel.crawling.blob_store import blob_name, open_blob_store
from surfaces.datasets import open_dataset
from surfaces.errors import DatasetError, MissingExtraError, OutputError
from surfaces.store.label_store import STORE_NAME, LabelStore
from tests.autolabel.corpora import start, teacher_file
from tests.autolabel.crawling.crawls import ends
from tests.autolabel.crawling.sites import Site, numbered_photo, photo_bytes
from tests.storage_servers import s3_server

_DATA = photo_bytes(1)
_SHA256 = hashlib.sha256(_DATA).hexdigest()
_NAME = f"{_SHA256[:2]}/{_SHA256}.jpg"


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"\x89PNG\r\n\x1a\n", ".png"),
        (b"GIF89a", ".gif"),
        (b"BM\x00\x00", ".bmp"),
        (b"II*\0", ".tif"),
        (b"MM\0*", ".tif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", ".webp"),
        (b"\0\0\0\x1cftypavif", ".avif"),
        (b"\0\0\0\x18ftypheic", ".heic"),
        (b"something", ".img"),
    ],
)
def test_the_suffix_depends_on_the_bytes(head: bytes, suffix: str) -> None:
    assert blob_name("ab" + "0" * 62, head) == f"ab/ab{'0' * 62}{suffix}"


def test_the_default_is_a_folder_of_the_corpus(tmp_path: Path) -> None:
    assert open_blob_store(tmp_path, None).put(blob_name(_SHA256, _DATA), _DATA) == f"photos/{_NAME}"
    assert (tmp_path / "photos" / _NAME).read_bytes() == _DATA
    assert [path.name for path in (tmp_path / "photos").rglob("*") if path.is_file()] == [f"{_SHA256}.jpg"]


@pytest.mark.parametrize("place", ["{}/else where", "file://{}/else%20where"])
def test_another_folder(tmp_path: Path, place: str) -> None:
    path = open_blob_store(tmp_path / "corpus", place.format(tmp_path)).put(_NAME, _DATA)
    assert path == f"{tmp_path}/else where/{_NAME}"
    assert Path(path).read_bytes() == _DATA


def test_only_truncated_files_are_written_again(tmp_path: Path) -> None:
    store = open_blob_store(tmp_path, None)
    path = tmp_path / store.put(_NAME, _DATA)
    written = path.stat()
    store.put(_NAME, _DATA)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    path.write_bytes(_DATA[:100])
    store.put(_NAME, _DATA)
    assert path.read_bytes() == _DATA


def test_an_fsspec_url(tmp_path: Path) -> None:
    place = f"memory://{uuid.uuid4().hex}/corpus/"
    path = open_blob_store(tmp_path, place).put(_NAME, _DATA)
    assert path == f"{place}{_NAME}"
    with fsspec.open(path) as file:
        assert file.read() == _DATA
    files, inside = fsspec.core.url_to_fs(path)
    files.pipe_file(inside, _DATA[:10])
    assert open_blob_store(tmp_path, place).put(_NAME, _DATA) == path
    assert files.cat_file(inside) == _DATA
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_missing_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    install = rf"nstall {package} .*pip install 'interior-surfaces\[{scheme}\]'"
    with pytest.raises(MissingExtraError, match=rf"photos at {scheme}:// need another package: .*{install}") as raised:
        open_blob_store(tmp_path, f"{scheme}://bucket/corpus")
    assert "\n" not in str(raised.value)


def test_half_written_files_of_a_killed_crawl_are_removed(tmp_path: Path) -> None:
    path = tmp_path / open_blob_store(tmp_path, None).put(_NAME, _DATA)
    for leftover in (path.parent / ".0123456789abcdef.tmp", tmp_path / "photos" / ".fedcba.tmp"):
        leftover.write_bytes(_DATA[:10])
    open_blob_store(tmp_path, None)
    assert [found for found in (tmp_path / "photos").rglob("*") if found.is_file()] == [path]
    other = tmp_path / "shared" / ".0123456789abcdef.tmp"  # another crawl may be writing there
    other.parent.mkdir()
    other.write_bytes(_DATA)
    open_blob_store(tmp_path, str(other.parent))
    assert other.is_file()


def test_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="could not use nowhere://a: expected a path or an address of ") as raised:
        open_blob_store(tmp_path, "nowhere://a")
    assert "\n" not in str(raised.value)
    (tmp_path / "photos").write_text("a file")
    with pytest.raises(OutputError, match="could not write"):
        open_blob_store(tmp_path, None)
    place = f"memory://{uuid.uuid4().hex}"
    files, inside = fsspec.core.url_to_fs(place)
    files.pipe_file(f"{inside}/{_SHA256[:2]}", b"a file in place of a folder")
    with pytest.raises(OutputError, match=r"could not write memory://.*/[0-9a-f]{64}\.jpg"):
        open_blob_store(tmp_path, place).put(_NAME, _DATA)


_COUNT = 24


@pytest.fixture
def s3_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of S3."""
    with s3_server(monkeypatch):
        name = f"rooms-{uuid.uuid4().hex}"
        fsspec.filesystem("s3").mkdir(name)
        yield f"s3://{name}"


@pytest.fixture
def gs_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same in Google Cloud Storage, emulated by gcp-storage-emulator."""
    pytest.importorskip("gcsfs", reason="gcsfs is not installed")
    emulator = shutil.which("gcp-storage-emulator")
    if emulator is None:
        pytest.skip("gcp-storage-emulator is not installed, or not in the PATH")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = ("--host", "127.0.0.1", "--port", str(port), "--in-memory", "--default-bucket", "rooms")
    process = subprocess.Popen([emulator, "start", *place], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not _is_open(port):
        time.sleep(0.05)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # else it asks Google for the bucket's kind
    fsspec.get_filesystem_class("gs").clear_instance_cache()
    yield "gs://rooms"
    process.terminate()
    process.wait()


def _is_open(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=["s3", pytest.param("gs", marks=pytest.mark.slow)])
def bucket(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_bucket"))


@pytest.fixture
def urls(tmp_path: Path) -> Iterator[Path]:
    """A list of photos at four hosts."""
    with Site(4, numbered_photo) as site:
        path = tmp_path / "urls.txt"
        path.write_text("\n".join(site.url(number % 4, f"/p{number}.jpg") for number in range(_COUNT)))
        yield path


def _crawl(corpus: Path, urls: Path, store: str) -> list[str]:
    kept = ("--rate", "10", "--min-side", "16", "--any-picture", "--allow-private", "--quiet")
    return ["crawl", "--out", str(corpus), "--urls", str(urls), "--store", store, *kept]


def _kill_when(process: subprocess.Popen[str], is_time: Callable[[], bool]) -> None:
    while process.poll() is None and not is_time():
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.communicate()
    process.communicate()


def _kept(corpus: Path) -> int:
    with suppress(DatasetError):  # not begun yet
        return ends(corpus).get("kept", 0)
    return 0


def _labelled(labels: Path) -> int:
    if not (labels / STORE_NAME).is_file():
        return 0
    with LabelStore.create(labels) as store:
        return store.counts().photos


def test_a_corpus_in_object_storage_is_crawled_and_labelled(
    tmp_path: Path, urls: Path, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, labels, place = tmp_path / "corpus", tmp_path / "labels", f"{bucket}/some/where"
    _kill_when(start(*_crawl(corpus, urls, place)), lambda: _kept(corpus) >= 6)
    assert 6 <= _kept(corpus) < _COUNT
    manifest = corpus / "manifest.parquet"
    assert main(_crawl(corpus, urls, place)) == 0
    assert capsys.readouterr() == (f"{manifest}\n", "")
    rows = pyarrow.parquet.read_table(manifest).to_pylist()
    files, _ = fsspec.core.url_to_fs(place)
    assert sorted(map(files.unstrip_protocol, files.find(place))) == sorted(row["path"] for row in rows)
    assert len(rows) == _COUNT
    for row in rows:
        number = int(Path(row["url"]).stem[1:])
        assert row["path"] == f"{place}/{row['sha256'][:2]}/{row['sha256']}.jpg"
        assert files.cat_file(row["path"]) == photo_bytes(number)
    assert not (corpus / "photos").exists()

    log = tmp_path / "calls"
    teacher = teacher_file(tmp_path, delay=0.05, log=str(log))
    run = ["run", str(manifest), "--out", str(labels), "--allow-python", "--teacher", str(teacher)]
    _kill_when(start(*run), lambda: _labelled(labels) >= 5)
    before = _labelled(labels)
    assert 5 <= before < _COUNT
    assert main(run) == 0
    assert f"{_COUNT - before} labelled, {before} labelled before, 0 skipped" in capsys.readouterr().err
    assert len(log.read_text().split()) <= _COUNT + 3
    assert sorted(sample.encoded_image() for sample in open_dataset(labels)) == sorted(map(photo_bytes, range(_COUNT)))


def test_missing_buckets_and_objects_are_one_line(
    tmp_path: Path, urls: Path, s3_bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = "s3://no-such-bucket/rooms"
    assert main(_crawl(tmp_path / "corpus", urls, place)) == 6
    err = capsys.readouterr().err
    assert re.fullmatch(r"autolabel: could not write s3://no-such-bucket/rooms/.*bucket does not exist\n", err), err
    assert "no-such-bucket" not in fsspec.filesystem("s3").ls("", refresh=True)

    (tmp_path / "list.txt").write_text(f"{s3_bucket}/gone.jpg\n{place}/gone.jpg\n{s3_bucket}/empty.jpg\n")
    fsspec.filesystem("s3").pipe_file(f"{s3_bucket}/empty.jpg", b"")
    teacher = ("--allow-python", "--teacher", str(teacher_file(tmp_path)))
    assert main(["run", str(tmp_path / "list.txt"), "--out", str(tmp_path / "set"), *teacher, "--quiet"]) == 10
    with LabelStore.open(tmp_path / "set") as store:
        reasons = {failure.source: failure.reason for failure in store.failures()}
    assert reasons == {
        f"{s3_bucket}/gone.jpg": "there is no such object: The specified key does not exist.",
        f"{place}/gone.jpg": "there is no such object: The specified bucket does not exist",
        f"{s3_bucket}/empty.jpg": "the object could not be read: [Errno 22] The requested range is not satisfiable",
    }
