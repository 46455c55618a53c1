"""Licences of photos and teachers: from a corpus to a label store, and on to exports, packed datasets and training."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from autolabel.__main__ import main
from distill.__main__ import main as distill
from surfaces.datasets import open_dataset
from surfaces.datasets.description import licences_of
from surfaces.errors import DatasetError
from surfaces.licences import Licence, not_stated
from surfaces.store.label_store import STORE_NAME, LabelStore
from tests.autolabel.corpora import LicensedTeacher, check_error, make_photo, teacher_file
from tests.autolabel.crawling.sites import Reply, Site

Capture = pytest.CaptureFixture[str]

CC0 = Licence("crawled photos", "CC0 1.0", "yes")
BY = Licence("crawled photos", "CC BY 4.0", "yes")
NC = Licence("crawled photos", "CC BY-NC 4.0", "no")
UNKNOWN = not_stated("photos whose licence is not known")
APACHE = Licence("colour network", "Apache-2.0", "yes")
SILENT = not_stated("teacher tests.autolabel.corpora.ColourTeacher")
RENDERS = Licence("our renders", "CC0-1.0", "yes")
_SOURCES = '[[sources]]\nsource = "our renders"\nterms = "CC0-1.0"\ncommercial = "yes"\n'


def crawled(folder: Path, *terms: str, first: int = 0) -> Path:
    """A corpus with a manifest: a photo for each licence."""
    paths = [make_photo(folder / f"room_{first + number}.jpg", first + number) for number in range(len(terms))]
    rows = [{"path": path.name, "licence": name} for path, name in zip(paths, terms, strict=True)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "manifest.parquet")
    return folder


def run(corpus: Path, out: Path, terms: str = "Apache-2.0", *more: str) -> Path:
    """Labels a corpus with a teacher of these terms, or one that states none."""
    file = teacher_file(out.parent, LicensedTeacher, terms=terms) if terms else teacher_file(out.parent)
    teacher = ["--teacher", str(file), "--allow-python", "--quiet"]
    assert main(["run", str(corpus), "--out", str(out), *teacher, *more]) == 0
    return out


def rows(store: Path, sql: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(store / STORE_NAME)) as connection:
        found = connection.execute(sql).fetchall()
        connection.commit()
    return found


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Labels of three photos, one of them under a licence that no product may use."""
    return run(crawled(tmp_path / "corpus", "CC0 1.0", "CC BY 4.0", "CC BY-NC 4.0"), tmp_path / "store")


def test_licences_of_a_crawl_reach_a_label_store(tmp_path: Path, capsys: Capture) -> None:
    with Site(2) as site:
        licences = [("cc0", "1.0"), ("by", "4.0"), ("by", "4.0")]
        results = [
            {
                "url": site.serve_photo(1, f"/{seed}.jpg", seed),
                "license": code,
                "license_version": version,
                "title": "A room",
            }
            for seed, (code, version) in enumerate(licences, 1)
        ]
        search = {"result_count": 3, "page_count": 1, "page_size": 20, "page": 1, "results": results}
        path = "/v1/images/?q=dining+room&page=1&page_size=20"
        site.serve(0, path, Reply(json.dumps(search).encode(), headers={"Content-Type": "application/json"}))
        urls = tmp_path / "urls.txt"
        urls.write_text(site.serve_photo(1, "/4.jpg", 4))
        options = ("--allow-private", "--any-picture", "--min-side", "16", "--rate", "50", "--quiet")
        found = ("--openverse", "dining room", "--openverse-address", site.url(0, ""), "--urls", str(urls))
        assert main(["crawl", "--out", str(tmp_path / "corpus"), *found, *options]) == 0
    store = run(tmp_path / "corpus" / "manifest.parquet", tmp_path / "store")
    assert set(licences_of(store)) == {CC0, BY, UNKNOWN, APACHE}
    assert licences_of(run(tmp_path / "corpus", tmp_path / "again")) == licences_of(store)
    capsys.readouterr()
    assert main(["status", str(store)]) == 0
    assert "licence     crawled photos: CC BY 4.0 (commercial use: yes)\n" in capsys.readouterr().out
    assert main(["status", str(store), "--json"]) == 0
    assert {Licence.parse(entry) for entry in json.loads(capsys.readouterr().out)["licences"]} == {
        *(CC0, BY, UNKNOWN, APACHE)
    }


@pytest.mark.parametrize("form", ["coco", "yolo", "png"])
def test_an_export_states_its_sources(tmp_path: Path, store: Path, form: str, capsys: Capture) -> None:
    out, packed = tmp_path / "export", tmp_path / "packed"
    assert main(["export", str(store), "--format", form, "--out", str(out)]) == 0
    assert set(licences_of(out)) == {CC0, BY, NC, APACHE}
    assert len(open_dataset(out)) == 3
    assert distill(["pack", str(out), "--out", str(packed)]) == 0
    capsys.readouterr()
    assert distill(["data", "stats", str(packed)]) == 0
    assert "crawled photos: CC BY-NC 4.0 (commercial use: no)" in capsys.readouterr().out


def test_an_export_states_what_it_holds_and_nothing_else(tmp_path: Path, store: Path) -> None:
    with LabelStore.open(store) as opened:
        reviewed = next(photo for photo in opened.photos() if photo.name == "room_1")
        opened.add_review(reviewed.sha256, opened.labels(reviewed.sha256), "ann")
    out = tmp_path / "reviewed"
    assert main(["export", str(store), "--format", "coco", "--only", "reviewed", "--out", str(out)]) == 0
    assert set(licences_of(out)) == {BY, APACHE}
    for form, parts in {"coco": ("train", "val"), "yolo": (".",)}.items():
        split = tmp_path / form
        assert main(["export", str(store), "--format", form, "--split", "--keep-names", "--out", str(split)]) == 0
        of_photos = {"room_0": CC0, "room_1": BY, "room_2": NC}
        for part in parts:
            names = {Path(sample.name).stem for sample in open_dataset(split / part)}
            assert set(licences_of(split / part)) == {APACHE, *(of_photos[name] for name in names)}


def test_what_is_known_of_whole_photos_stays_beside_the_sources(tmp_path: Path) -> None:
    corpus = crawled(tmp_path / "corpus", "CC0 1.0")
    (corpus / "dataset.toml").write_text('[[photos]]\nnames = ["room_0"]\nabsent = ["dining table"]\n')
    out = tmp_path / "export"
    assert main(["export", str(run(corpus, tmp_path / "store")), "--format", "png", "--out", str(out)]) == 0
    assert set(licences_of(out)) == {CC0, APACHE}
    assert [sorted(sample.labels().scope.absent) for sample in open_dataset(out)] == [[3]]


@pytest.mark.parametrize(
    ("photos", "teacher", "refused"),
    [
        (("CC0 1.0", "CC BY 4.0"), "Apache-2.0", ()),
        (("CC0 1.0", "CC BY-NC 4.0"), "Apache-2.0", (NC,)),
        (("CC0 1.0", ""), "Apache-2.0", (UNKNOWN,)),
        (("CC0 1.0",), "SAM License", (Licence("colour network", "SAM License"),)),
        (("CC0 1.0",), "", (SILENT,)),
    ],
)
def test_only_what_a_product_may_use_is_accepted(
    tmp_path: Path, photos: tuple[str, ...], teacher: str, refused: tuple[Licence, ...], capsys: Capture
) -> None:
    store = run(crawled(tmp_path / "corpus", *photos), tmp_path / "store", teacher)
    mix = ["data", "mix", str(store), "--photos", "1", "--licence", "commercial", "--out", str(tmp_path / "mix")]
    settings = ["--init", "random", "--steps", "1", "--batch", "1", "--crop", "128", "--amp", "off", "--threads", "1"]
    train = ["train", "--data", str(store), "--split", "all", "--licence", "commercial", *settings]
    for command in (mix, [*train, "--run", str(tmp_path / "run")]):
        capsys.readouterr()
        assert distill(command) == (DatasetError.exit_code if refused else 0)
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.endswith(f"allow commercial use, got {'; '.join(map(str, refused))}") == bool(refused)
    assert (tmp_path / "run").exists() == (tmp_path / "mix").exists() == (not refused)


def test_sources_of_a_folder_of_photos(tmp_path: Path) -> None:
    corpus = crawled(tmp_path / "corpus", "CC BY-NC 4.0")
    (corpus / "dataset.toml").write_text(_SOURCES)
    store = run(corpus, tmp_path / "store")
    assert set(licences_of(store)) == {RENDERS, APACHE}, "the user knows better than the manifest"
    (corpus / "dataset.toml").unlink()
    assert set(licences_of(run(corpus, store))) == {NC, APACHE}
    (corpus / "manifest.parquet").unlink()
    assert set(licences_of(run(corpus, store))) == {UNKNOWN, APACHE}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_licences_of_a_list(tmp_path: Path, suffix: str) -> None:
    entries = [("1.jpg", "CC BY 4.0", ""), ("2.jpg", "", "https://creativecommons.org/publicdomain/zero/1.0/")]
    for seed, (name, *_) in enumerate(entries):
        make_photo(tmp_path / name, seed)
    listed = tmp_path / f"list{suffix}"
    if suffix == ".csv":
        listed.write_text("path,licence,licence_url\n" + "".join(f"{','.join(entry)}\n" for entry in entries))
    else:
        keys = ("path", "licence", "licence_url")
        listed.write_text("".join(f"{json.dumps(dict(zip(keys, entry, strict=True)))}\n" for entry in entries))
    terms = {licence.terms for licence in licences_of(run(listed, tmp_path / "store"))}
    assert terms == {"CC BY 4.0", "CC0 1.0", "Apache-2.0"}


def test_a_photo_at_two_paths_has_the_licences_of_both(tmp_path: Path) -> None:
    free, unfree = crawled(tmp_path / "a", "CC0 1.0"), crawled(tmp_path / "b", "CC BY-NC 4.0")
    store = run(free, tmp_path / "store")
    assert set(licences_of(run(unfree, store))) == {CC0, NC, APACHE}
    assert len(open_dataset(store)) == 1
    shutil.rmtree(unfree)
    other = crawled(tmp_path / "b", "CC BY 4.0", first=7)
    run(other, store)
    assert set(licences_of(store)) == {CC0, BY, APACHE}, "the licence of bytes that are gone goes with them"


def test_a_photo_that_left_the_corpus_takes_its_licence_along(store: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus" / "room_2.jpg").unlink()
    run(tmp_path / "corpus", store)
    assert set(licences_of(store)) == {CC0, BY, APACHE}
    assert rows(store, "SELECT subject FROM licences WHERE subject LIKE '%room_2%'") == []


def test_superseded_labels_leave_their_teacher(store: Path, tmp_path: Path) -> None:
    run(tmp_path / "corpus", store, "", "--relabel", "--without", "specks")
    assert set(licences_of(store)) == {CC0, BY, NC, SILENT}


def test_licences_are_merged(tmp_path: Path) -> None:
    corpus = crawled(tmp_path / "corpus", *["CC0 1.0"] * 4, "CC BY-NC 4.0")
    parts = [run(corpus, tmp_path / f"part{shard}", "Apache-2.0", "--shard", f"{shard}/2") for shard in (1, 2)]
    assert sorted(NC in licences_of(part) for part in parts) == [False, True]
    for order in (parts, parts[::-1]):
        out = tmp_path / "-".join(part.name for part in order)
        assert main(["merge", *map(str, order), "--out", str(out)]) == 0
        assert set(licences_of(out)) == {CC0, NC, APACHE}


def test_a_merge_keeps_to_the_bytes_that_a_licence_is_of(tmp_path: Path) -> None:
    """Two machines have other photos at the same path."""
    corpus = crawled(tmp_path / "corpus", "")
    ours = run(corpus, tmp_path / "ours")
    make_photo(crawled(corpus, "CC0 1.0") / "room_0.jpg", 1)
    theirs = run(corpus, tmp_path / "theirs")
    assert set(licences_of(theirs)) == {CC0, APACHE}
    assert main(["merge", str(ours), str(theirs), "--out", str(tmp_path / "merged")]) == 0
    assert set(licences_of(tmp_path / "merged")) == {UNKNOWN, APACHE}


def test_a_forgotten_photo_takes_its_licence_along(tmp_path: Path) -> None:
    corpus, urls = tmp_path / "corpus", tmp_path / "urls.csv"
    with Site(1) as site:
        addresses = [site.serve_photo(0, f"/{seed}.jpg", seed) for seed in (1, 2)]
        urls.write_text(f"url,licence\n{addresses[0]},CC0 1.0\n{addresses[1]},CC BY-NC 4.0\n")
        options = ("--allow-private", "--any-picture", "--min-side", "16", "--rate", "50", "--quiet")
        assert main(["crawl", "--out", str(corpus), "--urls", str(urls), *options]) == 0
    store = run(corpus, tmp_path / "store")
    assert set(licences_of(store)) == {CC0, NC, APACHE}
    assert main(["crawl", "--out", str(corpus), "--forget", addresses[1]]) == 0
    assert set(licences_of(store)) == {CC0, APACHE}
    assert b"CC BY-NC" not in (store / STORE_NAME).read_bytes()
    assert set(licences_of(run(corpus, store))) == {CC0, APACHE}


def test_a_store_of_before(store: Path, tmp_path: Path) -> None:
    rows(store, "DROP TABLE licences")
    assert set(licences_of(store)) == {UNKNOWN, not_stated("teacher colours")}
    assert main(["merge", str(store), "--out", str(tmp_path / "merged")]) == 0
    assert licences_of(tmp_path / "merged") == licences_of(store)
    run(tmp_path / "corpus", store)  # labels nothing
    assert set(licences_of(store)) == {CC0, BY, NC, APACHE}
    assert main(["merge", str(store), "--out", str(tmp_path / "merged")]) == 0
    assert licences_of(tmp_path / "merged") == licences_of(store)


def test_sources_beside_a_store_win(store: Path) -> None:
    (store / "dataset.toml").write_text('labelled = ["wall"]\n')
    assert set(licences_of(store)) == {CC0, BY, NC, APACHE}
    (store / "dataset.toml").write_text(_SOURCES)
    assert licences_of(store) == (RENDERS,)


def test_another_dataset_in_the_folder_of_a_store_states_its_own(store: Path, tmp_path: Path) -> None:
    assert main(["export", str(store), "--format", "coco", "--out", str(tmp_path / "coco")]) == 0
    (tmp_path / "coco" / "dataset.toml").unlink()
    shutil.copy(store / STORE_NAME, tmp_path / "coco")
    assert [licence.source for licence in licences_of(tmp_path / "coco")] == ["a source that states none"]


@pytest.mark.parametrize("command", ["status STORE", "export STORE --format png --out OUT"])
@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("commercial", "'maybe'", "expected `commercial` to be one of yes, no, unknown, got 'maybe'"),
        ("terms", "x'ff'", "expected a licence with `source`, `terms` and `commercial`"),
        ("source", "x'00'", "expected a licence with `source`, `terms` and `commercial`"),
    ],
)
def test_damaged_licences_are_one_line(
    store: Path, tmp_path: Path, command: str, column: str, value: str, message: str, capsys: Capture
) -> None:
    rows(store, f"UPDATE licences SET {column} = {value}")
    arguments = command.replace("STORE", str(store)).replace("OUT", str(tmp_path / "out")).split()
    capsys.readouterr()
    line = check_error(capsys, DatasetError.exit_code, message, *arguments)
    assert f"expected a store of labels in {store / STORE_NAME}, got a damaged one: " in line
    with pytest.raises(DatasetError, match="a damaged one"):
        licences_of(store)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stated", ["Apache-2.0", "[Licence]", "commercial"])
def test_a_teacher_that_states_something_else(tmp_path: Path, stated: str, capsys: Capture) -> None:
    named = 'kind = "python"\nobject = "tests.autolabel.commands.test_licences:wrong"\n'
    (tmp_path / "teacher.toml").write_text(f'{named}arguments = {{stated = "{stated}"}}\n')
    corpus, out = crawled(tmp_path / "corpus", "CC0"), tmp_path / "store"
    teacher = ("--teacher", str(tmp_path / "teacher.toml"), "--allow-python", "--quiet")
    message = "expected `licences` of teacher tests.autolabel.corpora.LicensedTeacher to be a list of"
    check_error(capsys, 11, message, "run", str(corpus), "--out", str(out), *teacher)
    assert not out.exists()


def wrong(stated: str) -> LicensedTeacher:
    """A teacher with an attribute that holds no licences."""
    teacher = LicensedTeacher("MIT")
    wrong = {"[Licence]": [{"source": "a", "terms": "MIT"}], "commercial": [Licence("a", "MIT", "perhaps")]}
    teacher.licences = wrong.get(stated, stated)  # type: ignore[assignment]
    return teacher
