"""Class maps against the lists of class names; `tests/models/teachers/huggingface/data` has the origin of most."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distill.sources.catalogue import SOURCES
from distill.sources.class_map import MAPS, ClassMap, shipped_map
from surfaces.classes import DINING_TABLE, FLOOR, OTHER, OTHER_TABLE, WALL
from surfaces.cli.settings_files import SettingsError

LISTS = Path(__file__).parents[2] / "models" / "teachers" / "huggingface" / "data"


def labels_of(name: str) -> list[str]:
    labels: list[str] = json.loads((LISTS / f"{name}.json").read_text("utf-8"))["labels"]
    return labels


def meanings(source: str, names: list[str], room: str = "") -> dict[str, list[str]]:
    """The class names by what they mean; those that are other are left out."""
    found = shipped_map(source).described(names, room)
    found.pop("other")
    return {target: sorted(of_target) for target, of_target in found.items()}


def test_coco_panoptic() -> None:
    assert meanings("coco", labels_of("coco_panoptic")) == {
        "wall": ["wall-brick", "wall-other-merged", "wall-stone", "wall-tile", "wall-wood"],
        "floor": ["floor-other-merged", "floor-wood"],
        "dining table": ["dining table"],
        "other table": ["counter", "table-merged"],
    }


def test_coco_instances() -> None:
    names = labels_of("coco_instance")
    assert meanings("coco", names) == {"dining table": ["dining table"]}
    assert shipped_map("coco").labelled(frozenset(names)) == {DINING_TABLE.coco_id}


@pytest.mark.parametrize("labels", ["mask2former_ade20k", "segformer_ade20k"])
def test_ade20k_of_150_classes(labels: str) -> None:
    names = labels_of(labels)
    assert len(names) == 150
    tables = {
        name for name in names if name.partition(",")[0].strip() in ("coffee table", "desk", "pool table", "counter")
    }
    elsewhere, dining = (meanings("ade20k", names, room) for room in ("living_room", "dining_room"))
    assert elsewhere["wall"] == dining["wall"] == ["wall"]
    assert [name.partition(",")[0] for name in elsewhere["floor"]] == ["floor"]
    assert "dining table" not in elsewhere
    assert dining["dining table"] == ["table"]
    assert set(elsewhere["other table"]) >= tables | {"table"}
    assert "table" not in dining["other table"]
    assert shipped_map("ade20k").labelled(frozenset(names)) == {WALL.coco_id, FLOOR.coco_id, DINING_TABLE.coco_id}


# SUNRGBDtoolbox/Metadata/seg37list.mat, as hcmr-lab/segmentation_framework's dataloaders/sunrgbd_labels.py lists it.
SUN_37 = [
    *("wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter"),
    *(
        "blinds",
        "desk",
        "shelves",
        "curtain",
        "dresser",
        "pillow",
        "mirror",
        "floor_mat",
        "clothes",
        "ceiling",
        "books",
    ),
    *("fridge", "tv", "paper", "towel", "shower_curtain", "box", "whiteboard", "person", "night_stand", "toilet"),
    *("sink", "lamp", "bathtub", "bag"),
]


@pytest.mark.parametrize("source", ["sun-rgbd", "nyuv2"])
def test_names_of_the_37_and_40_classes(source: str) -> None:
    names = [name if source == "sun-rgbd" else name.replace("_", " ") for name in SUN_37]
    found = meanings(source, names)
    assert (found["wall"], found["floor"]) == (["wall"], ["floor"])
    assert set(found["other table"]) == {"table", "counter", "desk", names[31]}
    assert meanings(source, ["table", *names], "kitchen")["dining table"] == ["table", "table"]


def test_open_images() -> None:
    names = [
        "Kitchen & dining room table",
        "Table",
        "Coffee table",
        "Desk",
        "Billiard table",
        "Chair",
        "Tablet computer",
    ]
    assert meanings("open-images", names) == {
        "dining table": ["Kitchen & dining room table"],
        "other table": ["Billiard table", "Coffee table", "Desk", "Table"],
    }


def test_every_source_has_a_map_with_reasons() -> None:
    assert {source.class_map for source in SOURCES.values()} == {path.stem for path in MAPS.glob("*.toml")}
    for path in MAPS.glob("*.toml"):
        ClassMap.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected entries of `names` or `rooms`"),
        ('[[names]]\nto = "wall"\nnames = ["a"]\n', "reason"),
        ('[[names]]\nto = "wall"\nnames = ["a"]\nreason = "r"\nroom = ["b"]\n', "did you mean"),
        ('[[rooms]]\nrooms = ["a"]\nabsent = ["table"]\nreason = "r"\n', "unknown class 'table'"),
        ("names = 1\n", "names"),
        ("[[names]\n", "TOML"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "map.toml").write_text(content, "utf-8")
    with pytest.raises(SettingsError, match=message) as caught:
        ClassMap.read(tmp_path / "map.toml")
    assert "\n" not in str(caught.value)


def test_other_tables_are_no_errors() -> None:
    assert shipped_map("coco").meaning()("table-merged") == OTHER_TABLE


def test_a_name_labels_only_what_its_first_rule_means(tmp_path: Path) -> None:
    rules = [("coffee table", "other table"), ("*table", "dining table"), ("*", "other")]
    text = "".join(f'[[names]]\nto = "{to}"\nnames = ["{names}"]\nreason = "r"\n' for names, to in rules)
    (tmp_path / "map.toml").write_text(text, "utf-8")
    class_map = ClassMap.read(tmp_path / "map.toml")
    assert class_map.labelled(frozenset({"coffee table", "wall"})) == frozenset()
    assert class_map.labelled(frozenset({"coffee table", "round table"})) == {DINING_TABLE.coco_id}


@pytest.mark.parametrize("name", ["vegetable", "turntable", "desk lamp", "desktop computer", "tablecloth", "tablet"])
@pytest.mark.parametrize("source", ["ade20k", "nyuv2", "opensurfaces", "sun-rgbd"])
def test_names_that_only_sound_like_tables_are_other(source: str, name: str) -> None:
    assert shipped_map(source).meaning()(name) == OTHER
