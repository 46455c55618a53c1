from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import scipy.io
from PIL import Image, ImageDraw

from distill.__main__ import main
from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, OTHER, OTHER_TABLE, WALL
from surfaces.datasets import Labels, Sample, open_dataset
from surfaces.datasets.parquet import ParquetSample
from surfaces.errors import DatasetError
from surfaces.masks.rle import encode
from tests.distill.sources.builders import (
    HEIGHT,
    WIDTH,
    areas,
    picture,
    polygons_of,
    room_map,
    write_json,
    write_photo,
    write_png,
)

MEANINGS = {
    "wall": WALL.coco_id,
    "floor": FLOOR.coco_id,
    "table": DINING_TABLE.coco_id,
    "second": DINING_TABLE.coco_id,
    "chair": OTHER,
    "unlabelled": IGNORE,
}


def imported(source: str, path: Path, out: Path, *options: str) -> dict[str, Sample]:
    """The samples of an import by name."""
    assert main(["data", "import", source, str(path), "--out", str(out), "--workers", "1", *options]) == 0
    return {sample.name: sample for sample in open_dataset(out)}


def assert_room(labels: Labels, meanings: dict[str, int] = MEANINGS, tables: int = 2) -> None:
    """Compares labels with `areas`, pixel by pixel."""
    expected = room_map(meanings)
    np.testing.assert_array_equal(labels.semantic, expected)
    assert labels.tables.max() == tables
    if tables == 2:
        for mask in (areas()["table"], areas()["second"]):
            (number,) = np.unique(labels.tables[mask])
            np.testing.assert_array_equal(labels.tables == number, mask)


def test_coco_panoptic_with_24_bit_ids_and_crowds(tmp_path: Path) -> None:
    ids = {"wall": 7_000_001, "floor": 300, "table": 65_536, "second": 257, "chair": 9, "unlabelled": 0}
    values = room_map(ids)
    colours = np.stack([values % 256, values // 256 % 256, values // 65536], axis=-1).astype(np.uint8)
    write_png(tmp_path / "annotations" / "panoptic_val2017" / "000000000139.png", colours)
    write_photo(tmp_path / "val2017" / "000000000139.jpg")
    segments = [
        {"id": ids["wall"], "category_id": 199, "iscrowd": 0},
        {"id": ids["floor"], "category_id": 190, "iscrowd": 0},
        {"id": ids["table"], "category_id": 67, "iscrowd": 0},
        {"id": ids["second"], "category_id": 67, "iscrowd": 1},
        {"id": ids["chair"], "category_id": 62, "iscrowd": 0},
    ]
    write_json(
        tmp_path / "annotations" / "panoptic_val2017.json",
        {
            "info": {},
            "licenses": [{"id": 2, "name": "CC BY-NC 2.0", "url": ""}],
            "images": [
                {
                    "id": 139,
                    "file_name": "000000000139.jpg",
                    "height": HEIGHT,
                    "width": WIDTH,
                    "license": 2,
                    "coco_url": "u",
                }
            ],
            "annotations": [{"image_id": 139, "file_name": "000000000139.png", "segments_info": segments}],
            "categories": [
                {"id": 62, "name": "chair", "isthing": 1},
                {"id": 67, "name": "dining table", "isthing": 1},
                {"id": 190, "name": "floor-other-merged", "isthing": 0},
                {"id": 199, "name": "wall-other-merged", "isthing": 0},
            ],
        },
    )
    path = tmp_path / "annotations" / "panoptic_val2017.json"
    (sample,) = imported("coco", path, tmp_path / "out").values()
    content = json.loads(path.read_text("utf-8"))
    content["images"].append({**content["images"][0], "id": 140})
    write_json(path, content)
    without = ["data", "import", "coco", str(path), "--workers", "1", "--out", str(tmp_path / "without")]
    assert main(without) == DatasetError.exit_code  # a photo without segments is no photo without a wall
    labels = sample.labels()
    assert_room(labels, tables=1)
    np.testing.assert_array_equal(labels.tables == 1, areas()["table"])
    np.testing.assert_array_equal(labels.table_crowd(), areas()["second"])
    assert not labels.scope.unlabelled
    assert isinstance(sample, ParquetSample)
    assert (sample.provenance().licence, sample.provenance().split) == ("CC BY-NC 2.0", "val2017")


def test_coco_instances_by_polygons_rle_and_crowds(tmp_path: Path) -> None:
    masks = areas()
    write_photo(tmp_path / "images" / "a.jpg")
    counts = encode(masks["second"])
    assert isinstance(counts["counts"], str)
    annotations = [
        {"id": 1, "category_id": 67, "segmentation": polygons_of(slice(12, 18), slice(2, 12)), "iscrowd": 0},
        {"id": 2, "category_id": 67, "segmentation": counts, "iscrowd": 1},
        {"id": 3, "category_id": 62, "segmentation": polygons_of(slice(0, 5), slice(0, 5)), "iscrowd": 0},
    ]
    image = {"id": "x", "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH}
    write_json(
        tmp_path / "instances.json",
        {
            "images": [image],
            "annotations": [{**annotation, "image_id": "x"} for annotation in annotations],
            "categories": [{"id": 62, "name": "chair"}, {"id": 67, "name": "dining table"}],
        },
    )
    (sample,) = imported("coco", tmp_path / "instances.json", tmp_path / "out").values()
    labels = sample.labels()
    single = np.zeros((HEIGHT, WIDTH), np.bool_)
    single[12:18, 2:12] = True
    np.testing.assert_array_equal(labels.tables == 1, single)
    np.testing.assert_array_equal(labels.table_crowd(), masks["second"])
    assert labels.scope.unlabelled == {WALL.coco_id, FLOOR.coco_id}


def ade_names(path: Path) -> None:
    """`objectInfo150.txt`, shortened."""
    rows = [
        (1, "wall"),
        (4, "floor, flooring"),
        (16, "table"),
        (20, "chair"),
        (34, "desk"),
        (65, "coffee table, cocktail table"),
    ]
    lines = ["Idx\tRatio\tTrain\tVal\tStuff\tName"]
    lines += [f"{number}\t0.1\t10\t1\t0\t{name}" for number, name in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.mark.parametrize(("room", "table"), [("dining_room", DINING_TABLE.coco_id), ("living_room", OTHER_TABLE)])
def test_ade20k_scene_parsing_tables_by_room(tmp_path: Path, room: str, table: int) -> None:
    root = tmp_path / "ADEChallengeData2016"
    name = "ADE_train_00000001"
    numbers = {"wall": 1, "floor": 4, "table": 16, "second": 16, "chair": 20, "unlabelled": 0}
    write_png(root / "annotations" / "training" / f"{name}.png", room_map(numbers).astype(np.uint8))
    write_photo(root / "images" / "training" / f"{name}.jpg")
    ade_names(root / "objectInfo150.txt")
    (root / "sceneCategories.txt").write_text(f"{name} {room}\n", "utf-8")
    (sample,) = imported("ade20k", root, tmp_path / "out").values()
    labels = sample.labels()
    np.testing.assert_array_equal(labels.semantic, room_map({**MEANINGS, "table": table, "second": table}))
    assert DINING_TABLE.coco_id not in labels.scope.unlabelled
    assert (DINING_TABLE.coco_id in labels.scope.present) == (room == "dining_room")


def test_ade20k_full_release_with_16_bit_classes_and_parts(tmp_path: Path) -> None:
    root = tmp_path / "ADE20K_2021_17_01"
    folder = root / "images" / "ADE" / "training" / "home_or_hotel" / "dining_room"
    classes = {"wall": 2978, "floor": 976, "table": 2684, "second": 2684, "chair": 471, "unlabelled": 0}
    values = room_map(classes)
    instances = room_map({"wall": 1, "floor": 2, "table": 3, "second": 4, "chair": 5, "unlabelled": 0})
    colours = np.stack([values // 256 * 10, values % 256, instances], axis=-1).astype(np.uint8)
    write_png(folder / "ADE_train_00000001_seg.png", colours)
    write_png(folder / "ADE_train_00000001_parts_1.png", np.full_like(colours, 7))
    write_photo(folder / "ADE_train_00000001.jpg")
    names = {2978: "wall", 976: "floor, flooring", 2684: "table", 471: "chair"}
    objects = [
        {"id": number, "name": name, "name_ndx": number, "parts": {"part_level": 0}} for number, name in names.items()
    ]
    objects.append({"id": 9, "name": "leg", "name_ndx": 976, "parts": {"part_level": 1}})
    objects.reverse()
    (folder / "ADE_train_00000001.json").write_bytes(
        json.dumps({"annotation": {"object": objects, "note": "café"}}, ensure_ascii=False).encode("latin-1")
    )
    (sample,) = imported("ade20k-full", root, tmp_path / "out").values()
    assert sample.name == "training/ADE_train_00000001"
    assert_room(sample.labels())


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_open_images_masks_boxes_and_image_level_labels(tmp_path: Path) -> None:
    root = tmp_path / "oid"
    dining, desk, person = "/m/0h8n5zk", "/m/01y9k5", "/m/01g317"
    for name in ("a", "b"):
        write_photo(root / "train" / f"{name}.jpg")
    (root / "class-descriptions-boxable.csv").write_text(
        f"{dining},Kitchen & dining room table\n{desk},Desk\n{person},Person\n", "utf-8"
    )
    mask = areas()["second"]
    file_name = "a_m0h8n5zk_1f2e3d4c.png"
    doubled = np.kron(mask.astype(np.uint8) * 255, np.ones((2, 2), np.uint8))
    write_png(root / "masks" / file_name, doubled)
    box = {"BoxXMin": 0.6, "BoxXMax": 0.9, "BoxYMin": 0.5, "BoxYMax": 0.75}
    write_csv(
        root / "train-annotations-object-segmentation.csv",
        [{"MaskPath": file_name, "ImageID": "a", "LabelName": dining, "BoxID": "1f2e3d4c", **box, "PredictedIoU": 0.9}],
    )
    flags = {"IsOccluded": 0, "IsTruncated": 0, "IsGroupOf": 0, "IsDepiction": 0, "IsInside": 0}
    whole = {"XMin": 0.6, "XMax": 0.9, "YMin": 0.5, "YMax": 0.75}
    small = {"XMin": 0.0, "XMax": 0.25, "YMin": 0.0, "YMax": 0.25}
    write_csv(
        root / "oidv6-train-annotations-bbox.csv",
        [
            {"ImageID": "a", "Source": "xclick", "LabelName": dining, "Confidence": 1, **whole, **flags},
            {"ImageID": "a", "Source": "xclick", "LabelName": dining, "Confidence": 1, **small, **flags},
            {"ImageID": "elsewhere", "Source": "xclick", "LabelName": desk, "Confidence": 1, **small, **flags},
        ],
    )
    write_csv(
        root / "train-annotations-human-imagelabels-boxable.csv",
        [
            {"ImageID": "b", "Source": "verification", "LabelName": dining, "Confidence": 0},
            {"ImageID": "b", "Source": "verification", "LabelName": person, "Confidence": 1},
        ],
    )
    found = imported("open-images", root, tmp_path / "out")
    labels = found["train/a"].labels()
    np.testing.assert_array_equal(labels.tables == 1, mask)
    loose = np.zeros_like(mask)
    loose[:6, :8] = True
    np.testing.assert_array_equal(labels.semantic == IGNORE, loose)
    assert labels.scope.unlabelled == {WALL.coco_id, FLOOR.coco_id}
    absent = found["train/b"].labels().scope
    assert absent.absent == {DINING_TABLE.coco_id}
    assert absent.unlabelled == {WALL.coco_id, FLOOR.coco_id}


def test_opensurfaces_shapes_are_triangles(tmp_path: Path) -> None:
    root = tmp_path / "release"
    folder = root / "opensurfaces"
    write_photo(root / "photos" / "12.jpg", picture(40, 60))
    write_json(
        folder / "shapes.shapename.json", [entry(1, name="Wall"), entry(2, name="Table"), entry(3, name="?", fail=True)]
    )
    write_json(folder / "photos.photoscenecategory.json", [entry(5, name="dining room")])
    write_json(folder / "licenses.license.json", [entry(4, name="CC BY 2.0", creative_commons=True)])
    write_json(folder / "photos.flickruser.json", [entry(8, username="someone")])
    photo = {"scene_category": 5, "scene_category_correct": True, "special": False, "license": 4}
    write_json(
        folder / "photos.photo.json",
        [
            entry(12, **photo, flickr_user=8, flickr_id="77", aspect_ratio=1.5),
            entry(13, **{**photo, "special": True}),
            entry(14, **{**photo, "scene_category_correct": False}),
        ],
    )
    common = {"photo": 12, "special": False, "high_quality": True, "substance": 1}
    square = {"vertices": "0.1,0.1,0.5,0.1,0.5,0.5,0.1,0.5", "triangles": "0,1,2,0,2,3"}
    table = {"vertices": "0.6,0.5,0.9,0.5,0.9,0.9", "triangles": "0,1,2"}
    write_json(
        folder / "shapes.materialshape.json",
        [
            entry(1, **common, **square, name=1),
            entry(2, **common, **table, name=2),
            entry(3, **{**common, "high_quality": False}, **table, name=1),
            entry(4, **common, vertices="0,0.9,0.05,0.9,0,0.95", triangles="0,1,2", name=3),
        ],
    )
    (sample,) = imported("opensurfaces", root, tmp_path / "out").values()
    labels = sample.labels()
    expected = np.full((40, 60), IGNORE, np.uint8)
    drawn = Image.fromarray(expected)
    pen = ImageDraw.Draw(drawn)
    # As the release's own script draws them: vertices cut to whole pixels, triangles filled with their outlines.
    pen.polygon([(6, 4), (30, 4), (30, 20)], fill=WALL.coco_id)
    pen.polygon([(6, 4), (30, 20), (6, 20)], fill=WALL.coco_id)
    pen.polygon([(36, 20), (54, 20), (54, 36)], fill=DINING_TABLE.coco_id)
    assert (labels.semantic != np.asarray(drawn)).mean() < 0.005  # Pillow and OpenCV differ on slanted outlines
    assert labels.tables.max() == 1
    assert isinstance(sample, ParquetSample)
    provenance = sample.provenance()
    assert (provenance.room, provenance.licence) == ("dining room", "CC BY 2.0")
    assert provenance.url == "https://www.flickr.com/photos/someone/77/"


def entry(key: int, **fields: object) -> dict[str, object]:
    """An entry of Django's dump."""
    return {"pk": key, "model": "shapes.any", "fields": {"fail": False, **fields}}


def write_nyu(path: Path, labels: npt.NDArray[np.integer], names: list[str], rooms: list[str]) -> None:
    """The labelled file: HDF5 with all axes reversed, and cells of text as references."""
    photos = len(rooms)
    with h5py.File(path, "w") as file:
        images = np.stack([picture(seed=number) for number in range(photos)])
        file["images"] = images.transpose(0, 3, 2, 1)
        file["labels"] = np.stack([labels.T] * photos).astype(np.uint16)
        instances = room_map({"wall": 1, "floor": 1, "table": 1, "second": 2, "chair": 1, "unlabelled": 0})
        file["instances"] = np.stack([instances.T] * photos).astype(np.uint8)
        for key, texts, shape in (("names", names, (1, len(names))), ("sceneTypes", rooms, (1, photos))):
            cells = file.create_dataset(key, shape, dtype=h5py.ref_dtype)
            for number, text in enumerate(texts):
                cell = file.create_dataset(
                    f"#refs#/{key}{number}", data=np.array([[ord(sign)] for sign in text], np.uint16)
                )
                cells[0, number] = cell.ref


NYU = {"wall": 5, "floor": 300, "table": 2, "second": 2, "chair": 3, "unlabelled": 0}
NYU_NAMES = ["desk", "dining table", "chair", "rug", "wall", *(f"thing {n}" for n in range(6, 300)), "floor"]


def test_nyuv2_column_by_column_with_894_names(tmp_path: Path) -> None:
    path = tmp_path / "nyu" / "nyu_depth_v2_labeled.mat"
    path.parent.mkdir()
    write_nyu(path, room_map(NYU), NYU_NAMES, ["dining_room", "bathroom"])
    scipy.io.savemat(path.with_name("splits.mat"), {"trainNdxs": np.array([[2]]), "testNdxs": np.array([[1]])})
    found = imported("nyuv2", path, tmp_path / "out")
    assert set(found) == {"test/nyu_0001", "train/nyu_0002"}
    assert list(imported("nyuv2", path, tmp_path / "test", "--only", "test/*")) == ["test/nyu_0001"]
    np.testing.assert_array_equal(found["test/nyu_0001"].image(), picture(seed=0))
    np.testing.assert_array_equal(found["train/nyu_0002"].image(), picture(seed=1))
    assert_room(found["test/nyu_0001"].labels())


def test_nyuv2_with_40_classes(tmp_path: Path) -> None:
    path = tmp_path / "nyu" / "nyu_depth_v2_labeled.mat"
    path.parent.mkdir()
    write_nyu(path, room_map(NYU), NYU_NAMES, ["kitchen"])
    forty = ["wall", "floor", "chair", "table", "otherprop"]
    mapped = [5] * len(NYU_NAMES)
    mapped[1], mapped[2], mapped[4], mapped[299] = 4, 3, 1, 2
    cells = np.empty((1, len(forty)), object)
    cells[0] = forty
    scipy.io.savemat(path.with_name("classMapping40.mat"), {"mapClass": np.array([mapped]), "className": cells})
    (sample,) = imported("nyuv2", path, tmp_path / "out").values()
    assert_room(sample.labels())


def test_sun_rgbd_folders(tmp_path: Path) -> None:
    root = tmp_path / "SUNRGBD"
    folder = root / "kv1" / "NYUdata" / "NYU0001"
    write_photo(folder / "image" / "NYU0001.jpg")
    (folder / "scene.txt").write_text("dining_area", "utf-8")
    numbers = {"wall": 1, "floor": 2, "table": 3, "second": 3, "chair": 4, "unlabelled": 0}
    instances = room_map({"wall": 1, "floor": 2, "table": 3, "second": 4, "chair": 5, "unlabelled": 0})
    names = np.empty((1, 4), object)
    names[0] = ["wall", "floor", "table", "chair"]
    scipy.io.savemat(
        folder / "seg.mat",
        {"seglabel": room_map(numbers).astype(np.uint16), "names": names, "seginstances": instances.astype(np.uint16)},
    )
    (sample,) = imported("sun-rgbd", root, tmp_path / "out").values()
    assert sample.name == "kv1/NYUdata/NYU0001"
    assert_room(sample.labels())


SUN_37 = ["wall", "floor", "cabinet", "bed", "chair", "sofa", "table"]


def cells_of(texts: Sequence[str]) -> npt.NDArray[np.object_]:
    cells = np.empty((1, len(texts)), object)
    cells[0] = texts
    return cells


def write_toolbox(root: Path, folders: list[str], labels: npt.NDArray[np.integer]) -> Path:
    """The toolbox's files in their layout: structures of MATLAB, and label maps column by column as references."""
    metadata = root / "SUNRGBDtoolbox" / "Metadata"
    metadata.mkdir(parents=True)
    places = [f"/n/fs/sun3d/data/{folder}" for folder in folders]
    photos = np.array([(f"{place}/image/a.jpg", 1) for place in places], [("rgbpath", "O"), ("K", "O")])
    scipy.io.savemat(metadata / "SUNRGBDMeta.mat", {"SUNRGBDMeta": photos[None]})
    scipy.io.savemat(metadata / "seg37list.mat", {"seg37list": cells_of(SUN_37)})
    (root / "SUNRGBDtoolbox" / "traintestSUNRGBD").mkdir()
    split = {"alltrain": cells_of(places[:1]), "alltest": cells_of(places[1:])}
    scipy.io.savemat(root / "SUNRGBDtoolbox" / "traintestSUNRGBD" / "allsplit.mat", split)
    with h5py.File(metadata / "SUNRGBD2Dseg.mat", "w") as file:
        references = file.create_dataset("SUNRGBD2Dseg/seglabel", (len(folders), 1), dtype=h5py.ref_dtype)
        for number in range(len(folders)):
            references[number, 0] = file.create_dataset(f"#refs#/{number}", data=labels.T.astype(np.uint8)).ref
    return metadata / "SUNRGBD2Dseg.mat"


def test_sun_rgbd_with_37_classes(tmp_path: Path) -> None:
    root = tmp_path / "sun"
    folders = ["SUNRGBD/kv1/NYUdata/NYU0001", "SUNRGBD/kv2/align_kv2/0002"]
    for number, (folder, room) in enumerate(zip(folders, ("dining_room", "office"), strict=True)):
        write_photo(root / folder / "image" / "a.jpg", picture(seed=number))
        (root / folder / "scene.txt").write_text(room, "utf-8")
    numbers = room_map({"wall": 1, "floor": 2, "table": 7, "second": 7, "chair": 5, "unlabelled": 0})
    path = write_toolbox(root, folders, numbers)
    found = imported("sun-rgbd", path, tmp_path / "out")
    assert set(found) == {"train/kv1/NYUdata/NYU0001", "test/kv2/align_kv2/0002"}
    expected = {"wall": 1, "floor": 2, "chair": 0, "unlabelled": 255}
    for name, table in (("train/kv1/NYUdata/NYU0001", 3), ("test/kv2/align_kv2/0002", 4)):
        labels = found[name].labels()
        np.testing.assert_array_equal(labels.semantic, room_map(expected | {"table": table, "second": table}))
        np.testing.assert_array_equal(labels.tables > 0, labels.semantic == DINING_TABLE.coco_id)
    photo = root / folders[1] / "image" / "a.jpg"
    assert found["test/kv2/align_kv2/0002"].encoded_image() == photo.read_bytes()
    assert list(imported("sun-rgbd", path, tmp_path / "test", "--only", "test/*")) == ["test/kv2/align_kv2/0002"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "seg37list.mat").unlink(), "expected a MATLAB file at"),
        (lambda folder: (folder / "SUNRGBD2Dseg.mat").write_bytes(b"no"), "expected SUN RGB-D's file of 37 classes"),
        (lambda folder: scipy.io.savemat(folder / "SUNRGBDMeta.mat", {"K": 1}), "expected SUNRGBDMeta with rgbpath"),
    ],
)
def test_a_toolbox_that_is_not_whole_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object], message: str
) -> None:
    folder = "SUNRGBD/kv1/NYUdata/NYU0001"
    write_photo(tmp_path / folder / "image" / "a.jpg")
    path = write_toolbox(tmp_path, [folder], np.ones((4, 6), np.uint8))
    spoil(path.parent)
    assert main(["data", "import", "sun-rgbd", str(path), "--out", str(tmp_path / "out"), "--workers", "1"]) == 8
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_photos_in_folders_by_room(tmp_path: Path) -> None:
    root = tmp_path / "places"
    for number, place in enumerate(("train/bathroom/a", "train/dining_room/b", "val/street/c")):
        write_photo(root / f"{place}.jpg", picture(seed=number))
    found = imported("rooms", root, tmp_path / "out")
    classes = {WALL.coco_id, FLOOR.coco_id, DINING_TABLE.coco_id}
    scopes = {name: sample.labels().scope for name, sample in found.items()}
    assert scopes["train/bathroom/a"].absent == {DINING_TABLE.coco_id}
    assert scopes["train/bathroom/a"].unlabelled == {WALL.coco_id, FLOOR.coco_id}
    assert scopes["train/dining_room/b"].present == {DINING_TABLE.coco_id}
    assert scopes["train/dining_room/b"].unlabelled == classes
    assert scopes["val/street/c"].unlabelled == classes


@pytest.mark.parametrize("orientation", range(1, 9))
def test_maps_of_the_stored_photo_are_turned_with_it(tmp_path: Path, orientation: int) -> None:
    root = tmp_path / "ade"
    rng = np.random.default_rng(orientation)
    numbers = rng.choice([1, 4], (12, 20)).astype(np.uint8)
    # White walls and black floors, so that the decoded photo itself shows where each pixel has gone.
    pixels = np.repeat(np.where(numbers == 1, 255, 0)[..., None], 3, axis=2).astype(np.uint8)
    large = np.kron(pixels, np.ones((8, 8, 1), np.uint8))
    write_png(root / "annotations" / "training" / "a.png", np.kron(numbers, np.ones((8, 8), np.uint8)))
    photo = root / "images" / "training" / "a.jpg"
    write_photo(photo, large, orientation)
    ade_names(root / "objectInfo150.txt")
    (sample,) = imported("ade20k", root, tmp_path / "out").values()
    bright = sample.image().mean(axis=2) > 128
    labels = sample.labels().semantic
    if orientation in (1, 5, 6, 7, 8):  # the sizes tell in which orientation the map was drawn
        assert (bright == (labels == WALL.coco_id)).mean() > 0.99
    else:
        np.testing.assert_array_equal(labels == WALL.coco_id, np.kron(numbers == 1, np.ones((8, 8), np.bool_)))


def test_open_images_of_version_7_and_of_rotated_photos(tmp_path: Path) -> None:
    root = tmp_path / "oid"
    dining = "/m/0h8n5zk"
    write_photo(root / "validation" / "a.jpg", orientation=6)  # shown 32 pixels high, 24 wide
    (root / "oidv7-class-descriptions.csv").write_text(f"LabelName,DisplayName\n{dining},Kitchen & dining room table\n")
    left = np.zeros((HEIGHT, WIDTH), np.uint8)
    left[:, :8] = 255
    write_png(root / "masks" / "a.png", left)
    box = {"BoxXMin": 0, "BoxXMax": 0.25, "BoxYMin": 0, "BoxYMax": 1}
    write_csv(
        root / "validation-annotations-object-segmentation.csv",
        [{"MaskPath": "a.png", "ImageID": "a", "LabelName": dining, "BoxID": "1", **box}],
    )
    person = "/m/01g317"
    write_csv(
        root / "oidv7-val-annotations-human-imagelabels.csv",
        [
            {"ImageID": "b", "Source": "verification", "LabelName": dining, "Confidence": 0},
            {"ImageID": "a", "Source": "x", "LabelName": person, "Confidence": 1},
        ],
    )
    write_photo(root / "validation" / "b.jpg", picture(seed=2))
    found = imported("open-images", root, tmp_path / "out")
    expected = np.zeros((WIDTH, HEIGHT), np.bool_)
    expected[:8] = True
    np.testing.assert_array_equal(found["validation/a"].labels().tables == 1, expected)
    assert found["validation/b"].labels().scope.absent == {DINING_TABLE.coco_id}


def test_rooms_of_places365_and_photos_of_one_name(tmp_path: Path) -> None:
    root = tmp_path / "data_large"
    places = (
        "train/b/bathroom/1.jpg",
        "train/d/dining_room/1.jpg",
        "train/g/garage/indoor/1.jpg",
        "val/bathroom/1.png",
    )
    for number, place in enumerate((*places, "train/b/bathroom/1.png")):
        write_photo(root / place, picture(seed=number))
    found = imported("rooms", root, tmp_path / "out")
    scopes = {name: sample.labels().scope for name, sample in found.items()}
    table = {DINING_TABLE.coco_id}
    assert scopes["train/b/bathroom/1_jpg"].absent == scopes["train/b/bathroom/1_png"].absent == table
    assert scopes["train/d/dining_room/1"].present == table
    assert scopes["train/g/garage/indoor/1"].absent == table
    assert scopes["val/bathroom/1"].absent == table
    splits = {sample.provenance().split for sample in found.values() if isinstance(sample, ParquetSample)}
    assert splits == {"train", "val"}


def test_what_a_photo_says_is_believed_more_than_its_room(tmp_path: Path) -> None:
    root = tmp_path / "oid"
    dining = "/m/0h8n5zk"
    write_photo(root / "train" / "a.jpg")
    (root / "class-descriptions.csv").write_text(f"{dining},Kitchen & dining room table\n", "utf-8")
    write_csv(
        root / "train-annotations-human-imagelabels.csv",
        [{"ImageID": "a", "Source": "verification", "LabelName": dining, "Confidence": 1}],
    )
    room_map_file = tmp_path / "map.toml"
    room_map_file.write_text(
        '[[names]]\nto = "dining table"\nnames = ["*"]\nreason = "r"\n'
        '[[rooms]]\nrooms = ["*"]\nabsent = ["dining table"]\nreason = "r"\n',
        "utf-8",
    )
    (sample,) = imported("open-images", root, tmp_path / "out", "--map", str(room_map_file)).values()
    scope = sample.labels().scope
    assert (scope.absent, scope.present) == (frozenset(), {DINING_TABLE.coco_id})
