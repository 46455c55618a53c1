"""The photos of folders and lists."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.labelling.corpus import BROKEN_ENTRY, BROKEN_NAME, UNREADABLE, Corpus, read_corpus
from surfaces.errors import DatasetError, MissingExtraError
from surfaces.io.photo_lists import CRAWL_NAME
from surfaces.store.label_store import STORE_NAME, Source
from tests.autolabel.corpora import make_photo


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _names(corpus: Corpus) -> list[str]:
    return [source.name for source in corpus.photos]


def _skipped(corpus: Corpus) -> list[tuple[str, str]]:
    return [(failure.source.name, failure.kind) for failure in corpus.skipped]


def test_a_folder_and_its_subfolders_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _touch(tmp_path, "b/2.JPG", "b/1.webp", "a/deep/er/x.png", "c.jpeg", "Küche ☕.avif", "notes.txt", "b/Thumbs.db")
    _touch(tmp_path, ".hidden.jpg", ".cache/y.jpg")
    corpus = read_corpus(tmp_path)
    assert sorted(_names(corpus)) == ["Küche ☕", "a/deep/er/x", "b/1", "b/2", "c"]
    assert corpus == read_corpus(tmp_path)
    assert corpus.passed_over == {".txt": 1, ".db": 1}
    assert corpus.notes == ["2 files passed over: 1 .db, 1 .txt"]
    assert corpus.skipped == ()
    assert {source.path for source in corpus.photos} >= {str(tmp_path / "b" / "2.JPG")}
    assert {source.corpus for source in corpus.photos} == {str(tmp_path)}
    monkeypatch.chdir(tmp_path)
    assert read_corpus(Path()) == corpus  # absolute paths


def test_links_are_followed_but_never_round_in_circles(tmp_path: Path) -> None:
    _touch(tmp_path, "photos/a.jpg", "photos/sub/b.jpg", "elsewhere/c.jpg")
    photos = tmp_path / "photos"
    (photos / "sub" / "up").symlink_to(photos, target_is_directory=True)
    (photos / "again").symlink_to(photos / "sub", target_is_directory=True)
    (photos / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (photos / "d.jpg").symlink_to(tmp_path / "elsewhere" / "c.jpg")
    (photos / "itself").symlink_to(photos / "itself")
    corpus = read_corpus(photos)
    files = [os.path.realpath(source.path) for source in corpus.photos]
    assert sorted({Path(path).name for path in files}) == ["a.jpg", "b.jpg", "c.jpg"]
    assert len(files) == 4  # c.jpg by two names


def test_a_label_store_inside_the_corpus_is_left_out(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg", f"labels/{STORE_NAME}", "labels/coco/images/a.jpg")
    assert _names(read_corpus(tmp_path)) == ["a"]
    assert read_corpus(tmp_path).notes == [f"1 folder of results passed over: {tmp_path / 'labels'}"]
    _touch(tmp_path, STORE_NAME)
    assert _names(read_corpus(tmp_path)) == ["a"]


def test_an_unreadable_folder_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _touch(tmp_path, "a.jpg", "locked/b.jpg")
    scandir = os.scandir

    def refusing(path: str) -> object:  # root may read anything, so permissions alone would not do
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    corpus = read_corpus(tmp_path)
    assert _names(corpus) == ["a"]
    assert _skipped(corpus) == [("locked", UNREADABLE)]
    assert corpus.skipped[0].reason == "the folder could not be read: Permission denied"
    assert str(tmp_path / "locked") in corpus.paths


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere refuse such names")
def test_a_name_that_is_no_text_is_skipped(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg", os.fsdecode(b"caf\xe9.jpg"))
    corpus = read_corpus(tmp_path)
    assert _names(corpus) == ["a"]
    assert _skipped(corpus) == [("caf\\udce9", BROKEN_NAME)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.txt", "# best first\n\nsub/b.jpg\r\n  a.jpg  \na.jpg\n"),
        ("like_a_photo.txt", "BMW/../sub/b.jpg\na.jpg\n"),
        ("list", "\ufeffsub/b.jpg\na.jpg"),
        ("list.csv", 'title,path\n"x, y",sub/b.jpg\n,a.jpg\n'),
        ("list.JSONL", '{"path": "sub/b.jpg", "n": 1}\n\n{"path": "./a.jpg"}\n'),
    ],
)
def test_lists(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    corpus = read_corpus(tmp_path / name)
    assert [source.path for source in corpus.photos] == [str(tmp_path / "sub" / "b.jpg"), str(tmp_path / "a.jpg")]
    assert _names(corpus) == ["sub/b", "a"]
    assert corpus.root == str(tmp_path / name)
    assert corpus.skipped == ()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("name", "text"), [("l.txt", "{}\n"), ("l.csv", "path\n{}\n"), ("l.jsonl", '{{"path": "{}"}}')]
)
def test_encodings_of_lists(tmp_path: Path, encoding: str, name: str, text: str) -> None:
    (tmp_path / name).write_text(text.format("Küche.jpg"), encoding)
    corpus = read_corpus(tmp_path / name)
    assert _names(corpus) == ["Küche"]
    assert corpus.skipped == ()


def test_a_list_may_name_files_anywhere_and_by_their_url(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    path = tmp_path / "lists" / "l.txt"
    urls = "file:///rooms/a%20b.jpg\nfile://localhost/c.jpg\nfile://server/d.jpg\n"
    path.write_text(f"../x/a.jpg\n{tmp_path}/y.b/b.jpg\n.\n{urls}")
    corpus = read_corpus(path)
    relative = [str(tmp_path / "x" / "a.jpg"), str(tmp_path / "y.b" / "b.jpg"), str(tmp_path / "lists")]
    assert [source.path for source in corpus.photos] == [*relative, "/rooms/a b.jpg", "/c.jpg"]
    assert _names(corpus)[:2] == [f"{tmp_path}/x/a"[1:], f"{tmp_path}/y.b/b"[1:]]
    assert [(failure.source.path, failure.kind) for failure in corpus.skipped] == [(f"{path}:6", BROKEN_ENTRY)]


@pytest.mark.parametrize(
    ("name", "content", "broken"),
    [
        ("l.jsonl", b'{"path": "a.jpg"}\nnot json\n["path"]\n{"path": 3}\n{}\n', [2, 3, 4, 5]),
        ("l.csv", b"n,path\n1,a.jpg\n2\n3,\n", [3, 4]),
    ],
)
def test_broken_lines_are_skipped_by_number(tmp_path: Path, name: str, content: bytes, broken: list[int]) -> None:
    corpus = read_corpus(_written(tmp_path / name, content))
    assert _names(corpus) == ["a"]
    skipped = [(failure.source.path, failure.kind) for failure in corpus.skipped]
    assert skipped == [(f"{tmp_path / name}:{line}", BROKEN_ENTRY) for line in broken]


def test_broken_names_in_a_list_are_skipped(tmp_path: Path) -> None:
    corpus = read_corpus(_written(tmp_path / "l.txt", b"a.jpg\ncaf\xe9.jpg\nnul\0l.jpg\n"))
    assert _skipped(corpus) == [("caf\\udce9", BROKEN_NAME), ("nul\\0l", BROKEN_NAME)]
    assert [failure.reason for failure in corpus.skipped] == [f"line {n}: expected a name in UTF-8" for n in (2, 3)]


@pytest.mark.parametrize("name", ["room.jpg", "room.HEIC", "room.dat", "room.csv", "room"])
def test_a_single_photo_is_no_list_whatever_its_suffix(tmp_path: Path, name: str) -> None:
    path = make_photo(tmp_path / "room.jpg", 0).rename(tmp_path / name)
    assert read_corpus(path).photos == (Source(str(path), "room", str(path)),)


BINARY = b"PK\3\4\x14\0\0\0", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", b"\0\0\0\x18ftypqt  \0\0", b"SQLite format 3\0"


@pytest.mark.parametrize("data", BINARY, ids=["zip", "pdf", "movie", "database"])
@pytest.mark.parametrize("name", ["l.txt", "l", "l.csv", "l.jsonl"])
def test_other_binary_files_are_no_lists(tmp_path: Path, name: str, data: bytes) -> None:
    with pytest.raises(DatasetError, match=r"expected a list of photos in .*, got: binary data, no text"):
        read_corpus(_written(tmp_path / name, data * 200))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere", None, "no such file or folder"),
        (".", None, "got none"),
        (".", b"", r"1 other kinds of files \(1 \.doc\)"),
        ("l.txt", b"# nothing\n", "got none"),
        ("l.jsonl", b"{}\n{}\n", "2 broken entry"),
        ("l.csv", b"file,n\na.jpg,1\n", "no column `path` among file, n"),
        ("l.csv", b"", "no column `path` among none"),
    ],
    ids=["absent", "empty", "other files", "empty list", "broken list", "other columns", "empty table"],
)
def test_a_corpus_without_photos_is_an_error_of_one_line(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        _written(tmp_path / ("notes.doc" if name == "." else name), content)
    with pytest.raises(DatasetError, match=message) as raised:
        read_corpus(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"path": ["a.jpg", None, "b.jpg"]}), tmp_path / "l.parquet")
    corpus = read_corpus(tmp_path / "l.parquet")
    assert _names(corpus) == ["a", "b"]
    assert len(corpus.skipped) == 1
    parquet.write_table(pyarrow.table({"file": ["a.jpg"]}), tmp_path / "m.parquet")
    with pytest.raises(DatasetError, match="column `path`"):
        read_corpus(tmp_path / "m.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="pip install pyarrow"):
        read_corpus(tmp_path / "l.parquet")


@given(st.sets(st.text(max_size=12), max_size=60), st.integers(1, 7))
def test_shards_share_nothing_and_leave_nothing_out(names: set[str], count: int) -> None:
    # Machines may have the photos mounted at different places.
    here, there = (
        Corpus(root, tuple(Source(f"{root}/{name}.jpg", name, root) for name in sorted(names))) for root in ("/a", "/b")
    )
    shards = [_names(here.shard(number, count)) for number in range(1, count + 1)]
    assert sorted(name for shard in shards for name in shard) == sorted(names)
    assert shards == [_names(there.shard(number, count)) for number in range(1, count + 1)]


def test_shards_are_about_equal() -> None:
    corpus = Corpus("/", tuple(Source(f"/{n}.jpg", f"room_{n}", "/") for n in range(4000)))
    assert all(abs(len(corpus.shard(number, 4).photos) - 1000) < 120 for number in range(1, 5))


any_name = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1)


@given(st.lists(any_name, min_size=1, max_size=8))
def test_any_name_is_read_from_json_lines(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("list") / "l.jsonl"
    path.write_text("".join(json.dumps({"path": f"sub/{name}x.jpg"}) + "\n" for name in names), encoding="utf-8")
    corpus = read_corpus(path)
    assert corpus.skipped == ()
    assert {source.path for source in corpus.photos} == {os.path.normpath(f"{path.parent}/sub/{n}x.jpg") for n in names}


@pytest.mark.parametrize("entry", ["photos/link.jpg", "../private.jpg"], ids=["link", "path"])
def test_a_manifest_of_a_crawl_reaches_no_file_outside_by_a_relative_path(tmp_path: Path, entry: str) -> None:
    _touch(tmp_path, "corpus/photos/a.jpg", "private.jpg")
    (tmp_path / "corpus" / "photos" / "link.jpg").symlink_to(tmp_path / "private.jpg")
    manifest = tmp_path / "corpus" / "manifest.csv"
    manifest.write_text(f"path\nphotos/a.jpg\n{entry}\n")
    assert len(read_corpus(manifest).photos) == 2
    _touch(tmp_path, f"corpus/{CRAWL_NAME}")
    corpus = read_corpus(manifest)
    assert _names(corpus) == ["photos/a"]
    (skipped,) = corpus.skipped
    assert skipped.reason == "line 3: expected a photo inside the corpus, got a path or a link that leaves it"
