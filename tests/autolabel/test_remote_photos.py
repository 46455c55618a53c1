"""Photos in object storage are labelled, shown, exported and read for training in place."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from autolabel.__main__ import main
from labelstudio.active_learning import read_candidates
from labelstudio.commands.push import _read_photo_file
from labelstudio.project.image_hosting import _path_in_corpus
from surfaces.datasets import open_dataset
from surfaces.store.label_store import LabelStore
from tests.autolabel.corpora import dump, failures, make_corpus, make_photo, teacher_file

Capture = pytest.CaptureFixture[str]
Run = Callable[..., int]


@pytest.fixture
def bucket() -> str:
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each object was read."""
    counts: Counter[str] = Counter()
    cat_file = MemoryFileSystem.cat_file

    def counted(files: MemoryFileSystem, path: str, **range_of: int) -> object:
        counts[path] += 1
        return cat_file(files, path, **range_of)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counted)
    return counts


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the command with the colour teacher on a list of paths and URLs."""
    teacher = str(teacher_file(tmp_path))

    def run(entries: list[str], *flags: str) -> int:
        (tmp_path / "list.txt").write_text("\n".join(entries))
        flags = ("--out", str(tmp_path / "set"), "--allow-python", "--teacher", teacher, *flags)
        return main(["run", str(tmp_path / "list.txt"), *flags])

    return run


def _put(url: str, data: bytes) -> str:
    fsspec.filesystem("memory").pipe_file(url, data)
    return url


def _photos(tmp_path: Path, bucket: str, count: int, by_hash: bool = True) -> list[str]:
    """Puts photos into a bucket as a crawl does, or under other names."""
    urls = []
    for seed in range(count):
        data = make_photo(tmp_path / "made" / f"{seed}.jpg", seed).read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        urls.append(_put(f"{bucket}/rooms/{f'{sha256[:2]}/{sha256}' if by_hash else seed}.jpg", data))
    return urls


def test_labels_are_those_of_the_same_photos_on_disk(tmp_path: Path, bucket: str, run: Run) -> None:
    urls = _photos(tmp_path, bucket, 5)
    assert run(urls, "--quiet") == 0
    there = dump(tmp_path / "set")
    with LabelStore.open(tmp_path / "set") as store:
        found = {store.sources(photo.sha256)[0]: photo.name for photo in store.photos()}
    assert found == {url: url.removeprefix(f"{bucket}/")[:-4] for url in urls}
    (tmp_path / "set" / "labels.sqlite").unlink()
    assert run([str(path) for path in (tmp_path / "made").iterdir()], "--quiet") == 0
    bare = re.compile(r"(name|source)='[^']*'|\['[^']*'\]")
    assert bare.sub("", repr(there)) == bare.sub("", repr(dump(tmp_path / "set")))


def test_unreadable_objects_are_reported_and_tried_again(
    tmp_path: Path, bucket: str, run: Run, capsys: Capture
) -> None:
    good = _photos(tmp_path, bucket, 2)
    urls = [*good, f"{bucket}/gone.jpg", _put(f"{bucket}/page.jpg", b"<!doctype html>"), _put(f"{bucket}/empty", b"")]
    urls += ["https://example.com/room.jpg", "simplecache::http://169.254.169.254/x", str(tmp_path / "no.jpg")]
    assert run(urls) == 10
    assert "2 labelled, 0 labelled before, 6 skipped (2 not a usable photo, 4 unreadable)" in capsys.readouterr().err
    found = failures(tmp_path / "set")
    web = "photos on the web are not read in place; `python -m autolabel crawl --urls` fetches them"
    assert found["https://example.com/room.jpg"] == ("unreadable", web)
    assert found["simplecache::http://169.254.169.254/x"] == ("unreadable", web)
    assert found[f"{bucket}/gone.jpg"][0] == "unreadable"
    assert found[f"{bucket}/gone.jpg"][1].startswith("there is no such object: ")
    assert "HTML page" in found[f"{bucket}/page.jpg"][1]

    _put(f"{bucket}/gone.jpg", make_photo(tmp_path / "new.jpg", 9).read_bytes())
    assert run([*good, f"{bucket}/gone.jpg"]) == 0
    assert "1 labelled, 2 labelled before, 0 skipped" in capsys.readouterr().err


def test_labelled_objects_named_by_their_hash_are_not_read_again(
    tmp_path: Path, bucket: str, run: Run, reads: Counter[str], capsys: Capture
) -> None:
    urls = _photos(tmp_path, bucket, 5)
    others = _photos(tmp_path, bucket, 2, by_hash=False)  # the same bytes again
    assert run(urls, "--limit", "3") == 0
    assert reads.total() == 3
    reads.clear()
    assert run(urls + others) == 0
    assert "2 labelled, 5 labelled before" in capsys.readouterr().err
    assert reads.total() == 2 + 2
    _put(others[0], make_photo(tmp_path / "new.jpg", 77).read_bytes())
    assert run(urls + others) == 0
    assert "1 labelled, 6 labelled before" in capsys.readouterr().err
    teacher_file(tmp_path, bias=0.05)
    reads.clear()
    assert run(urls, "--relabel") == 0
    assert reads.total() == 5


def test_memory_holds_a_bounded_number_of_photos(
    tmp_path: Path, bucket: str, run: Run, reads: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead: list[int] = []
    add = LabelStore.add

    def adding(store: LabelStore, *rest: object) -> bool:
        ahead.append(reads.total() - len(ahead))
        return add(store, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(LabelStore, "add", adding)
    assert run(_photos(tmp_path, bucket, 25), "--quiet", "--workers", "2") == 0
    assert len(ahead) == 25
    assert 1 < max(ahead) <= 10  # two being read, two decoded, and one each with the teacher, the rules and the store


def test_photos_that_left_the_list_but_not_the_storage_stay(
    tmp_path: Path, bucket: str, run: Run, capsys: Capture
) -> None:
    urls = _photos(tmp_path, bucket, 4)
    assert run(urls) == 0
    fsspec.filesystem("memory").rm(urls[3])
    assert run(urls[:2]) == 0
    assert "1 gone from the corpus" in capsys.readouterr().err
    assert len(open_dataset(tmp_path / "set")) == 3


def test_labels_are_shown_exported_and_read_for_training(
    tmp_path: Path, bucket: str, run: Run, capsys: Capture
) -> None:
    urls, store = _photos(tmp_path, bucket, 3), tmp_path / "set"
    assert run(urls, "--quiet") == 0
    made = sorted((tmp_path / "made").iterdir())
    assert sorted(sample.encoded_image() for sample in open_dataset(store)) == sorted(p.read_bytes() for p in made)
    assert main(["report", str(store), "--out", str(tmp_path / "report")]) == 0
    assert len(list((tmp_path / "report" / "images").iterdir())) == 2 * 3
    assert main(["export", str(store), "--format", "png", "--out", str(tmp_path / "png")]) == 0
    index = [json.loads(line) for line in (tmp_path / "png" / "photos.jsonl").read_text().splitlines()]
    assert sorted(entry["source"] for entry in index) == sorted(urls)
    exported = {path.read_bytes() for path in (tmp_path / "png" / "images").iterdir()}
    assert exported == {path.read_bytes() for path in made}
    with LabelStore.open(store) as labels:
        assert {_read_photo_file(labels, photo).data for photo in labels.photos()} == exported
        below = {_path_in_corpus(photo) for photo in labels.photos()}
        assert below == {url.removeprefix(f"{bucket}/") for url in urls}
        assert len({candidate.descriptor.tobytes() for candidate in read_candidates(labels)}) == 3

    fsspec.filesystem("memory").rm(urls[0])
    assert main(["export", str(store), "--format", "coco", "--out", str(tmp_path / "less")]) == 8
    shown = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(
        r"autolabel: expected the labelled photo at memory://.*, it is gone .*no such object: .*", shown
    )


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_missing_package_is_one_line(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: Capture, scheme: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    assert run([str(make_photo(tmp_path / "a.jpg", 0)), f"{scheme}://rooms/a.jpg"]) == 9
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(rf"autolabel: photos at {scheme}://.*nstall {package}.*\[{scheme}\]'\n", shown.err)
    assert not (tmp_path / "set").exists()


def test_without_fsspec_photos_on_disk_are_read(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    corpus = make_corpus(tmp_path / "photos", 2)
    assert run([str(path) for path in corpus.rglob("*.jpg")], "--quiet") == 0
    assert run(["memory://x/a.jpg"], "--quiet") == 9
    assert capsys.readouterr().err.startswith("autolabel: photos at memory:// need another package: ")
