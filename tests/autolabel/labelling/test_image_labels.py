"""What is known of a corpus' photos as a whole: from its rules and from search words to labels and exports."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from autolabel.__main__ import main
from autolabel.labelling.corpus import read_corpus
from autolabel.labelling.image_labels import image_level_labels
from autolabel.labelling.search_words import scope_of_query
from distill.__main__ import main as distill
from surfaces.classes import DINING_TABLE
from surfaces.datasets import open_dataset
from surfaces.datasets.sample import ALL_LABELLED, LabelScope
from surfaces.store.label_store import LabelStore
from tests.autolabel.corpora import check_error, make_photo, teacher_file
from tests.autolabel.crawling.sites import Reply, Site

_TABLE = frozenset({DINING_TABLE.coco_id})
_ABSENT, _PRESENT = LabelScope(absent=_TABLE), LabelScope(present=_TABLE)

_RULES = """
[[photos]]
names = ["*_bathroom"]
absent = ["dining table"]
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed, name in enumerate(("house_1_bathroom", "house_1_dining", "house_2_bathroom")):
        make_photo(tmp_path / "photos" / f"{name}.jpg", seed)
    return tmp_path / "photos"


def _known(path: Path) -> dict[str, LabelScope]:
    return {Path(source).stem: scope for source, scope in image_level_labels(read_corpus(path)).items()}


def _run(corpus: Path, out: Path) -> int:
    teacher = ("--teacher", str(teacher_file(out.parent)), "--allow-python", "--quiet")
    return main(["run", str(corpus), "--out", str(out), *teacher])


def _scopes(dataset: Path) -> dict[str, LabelScope]:
    return {sample.name: sample.labels().scope for sample in open_dataset(dataset)}


def _with_tables(dataset: Path) -> set[str]:
    samples = open_dataset(dataset)
    return {sample.name for sample in samples if (sample.labels().semantic == DINING_TABLE.coco_id).any()}


@pytest.mark.parametrize(
    ("query", "scope"),
    [
        ("dining room", _PRESENT),
        ("Modern DINING-ROOM interior", _PRESENT),
        ("incategory:Bathrooms", _ABSENT),
        ("white bedroom", _ABSENT),
        ("wooden staircases", _ABSENT),
        ("dining room and bedroom", ALL_LABELLED),
        ("kitchen with dining area", ALL_LABELLED),
        ("dining room -bedroom", ALL_LABELLED),
        ("dining room OR sauna", ALL_LABELLED),
        ("bedrooms NOT hotel", ALL_LABELLED),
        ("undining rooms", ALL_LABELLED),
        ("sauna", ALL_LABELLED),
        ("", ALL_LABELLED),
    ],
)
def test_search_words(query: str, scope: LabelScope) -> None:
    assert scope_of_query(query) == scope


def test_names_mean_something_by_rules_alone(photos: Path) -> None:
    assert _known(photos) == {}
    (photos / "dataset.toml").write_text(_RULES)
    assert _known(photos) == {"house_1_bathroom": _ABSENT, "house_2_bathroom": _ABSENT}
    (photos / "dataset.toml").write_text('absent = ["dining table"]')
    assert len(_known(photos)) == 3


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_columns_of_a_list(photos: Path, suffix: str) -> None:
    queries = {"house_1_bathroom": "dining room", "house_1_dining": "dining room", "house_2_bathroom": "sauna"}
    rows = [{"path": f"{name}.jpg", "query": query, "tag": f"t-{name[-1]}"} for name, query in queries.items()]
    table = photos / f"list{suffix}"
    if suffix == ".csv":
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["path", "query", "tag"])
            writer.writeheader()
            writer.writerows(rows)
    elif suffix == ".jsonl":
        table.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), table)
    assert _known(table) == {"house_1_bathroom": _PRESENT, "house_1_dining": _PRESENT}
    (photos / "dataset.toml").write_text(_RULES + '[[photos]]\nwhere = {tag = "t-g"}\npresent = ["wall"]')
    assert _known(table) == {  # rules of the user win over search words
        "house_1_bathroom": _ABSENT,
        "house_1_dining": LabelScope(present=_TABLE | {1}),
        "house_2_bathroom": _ABSENT,
    }


def test_a_crawled_corpus_as_a_folder(photos: Path) -> None:
    rows = [{"path": "house_1_dining.jpg", "query": "dining room"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), photos / "manifest.parquet")
    assert _known(photos) == {"house_1_dining": _PRESENT}


def test_the_search_words_of_a_crawl(tmp_path: Path) -> None:
    with Site(2) as site:
        results = [
            {"url": site.serve_photo(1, f"/{seed}.jpg", seed), "license": "cc0", "title": "A room"} for seed in (1, 2)
        ]
        search = {"result_count": 2, "page_count": 1, "page_size": 20, "page": 1, "results": results}
        path = "/v1/images/?q=dining+room&page=1&page_size=20"
        site.serve(0, path, Reply(json.dumps(search).encode(), headers={"Content-Type": "application/json"}))
        urls = tmp_path / "urls.txt"
        urls.write_text(site.serve_photo(1, "/3.jpg", 3))
        options = (
            "--allow-private",
            "--any-picture",
            "--min-side",
            "16",
            "--rate",
            "50",
            "--quiet",
            "--urls",
            str(urls),
        )
        source = ("--openverse", "dining room", "--openverse-address", site.url(0, ""))
        assert main(["crawl", "--out", str(tmp_path / "corpus"), *source, *options]) == 0
    rows = pyarrow.parquet.read_table(tmp_path / "corpus" / "manifest.parquet").to_pylist()
    assert sorted(row["query"] for row in rows) == ["", "dining room", "dining room"]
    assert sorted(map(str, _known(tmp_path / "corpus" / "manifest.parquet").values())) == [str(_PRESENT)] * 2


def test_a_rule_without_photos_is_a_note(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "dataset.toml").write_text(_RULES)
    assert _known(photos / "house_1_dining.jpg") == {}
    assert "dataset.toml: expected photos that match entry 1 of `photos` (*_bathroom), got none\n" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[photos]]\nnames = ["*"]\nabsent = ["bath"]', "unknown class 'bath'"),
        (_RULES + '[[photos]]\nnames = ["house_1*"]\npresent = ["dining table"]', "or present, got both"),
    ],
)
def test_a_wrong_rule_is_one_line(
    photos: Path, tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "dataset.toml").write_text(text)
    check_error(capsys, 8, message, "run", str(photos), "--out", str(tmp_path / "set"), "--quiet")


def test_labels_know_it_and_follow_the_rules(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert _run(photos, out) == 0
    assert set(_scopes(out).values()) == {ALL_LABELLED}
    before = _with_tables(out)
    assert "house_2_bathroom" in before
    (photos / "dataset.toml").write_text(_RULES)
    assert _run(photos, out) == 0  # labels the two bathrooms again
    expected = {"house_1_bathroom": _ABSENT, "house_1_dining": ALL_LABELLED, "house_2_bathroom": _ABSENT}
    assert _scopes(out) == expected
    assert _with_tables(out) == before - {"house_1_bathroom", "house_2_bathroom"}
    assert main(["merge", str(out), "--out", str(tmp_path / "merged")]) == 0
    assert _scopes(tmp_path / "merged") == expected
    for form in ("coco", "png"):
        exported = tmp_path / form
        assert main(["export", str(out), "--format", form, "--keep-names", "--out", str(exported)]) == 0
        assert _scopes(exported) == expected
    assert distill(["pack", str(out), "--out", str(tmp_path / "packed")]) == 0
    assert _scopes(tmp_path / "packed") == expected
    (photos / "dataset.toml").unlink()
    assert _run(photos, out) == 0
    assert set(_scopes(out).values()) == {ALL_LABELLED}
    assert _with_tables(out) == before


def test_a_second_path_of_a_photo_does_not_label_it_again(photos: Path, tmp_path: Path) -> None:
    copy = photos / "living" / "same.jpg"
    copy.parent.mkdir()
    copy.write_bytes((photos / "house_1_bathroom.jpg").read_bytes())
    (photos / "dataset.toml").write_text(_RULES)
    for _ in range(2):
        assert _run(photos, tmp_path / "set") == 0
        with LabelStore.open(tmp_path / "set") as store:
            labels = [store.labels(photo.sha256) for photo in store.photos() if len(store.sources(photo.sha256)) == 2]
        assert [each.scope for each in labels] == [_ABSENT]


def test_a_person_who_draws_a_table_is_right(photos: Path, tmp_path: Path) -> None:
    (photos / "dataset.toml").write_text(_RULES)
    assert _run(photos, tmp_path / "set") == 0
    with LabelStore.open(tmp_path / "set") as store:
        by_name = {photo.name: photo.sha256 for photo in store.photos()}
        drawn = store.labels(by_name["house_1_dining"])
        store.add_review(by_name["house_1_bathroom"], drawn, "ann")
    assert _run(photos, tmp_path / "set") == 0
    assert _scopes(tmp_path / "set")["house_1_bathroom"] == ALL_LABELLED
    with LabelStore.open(tmp_path / "set") as store:
        assert store.restore(by_name["house_1_bathroom"])
    assert _scopes(tmp_path / "set")["house_1_bathroom"] == _ABSENT
