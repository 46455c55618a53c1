from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from distill.__main__ import main
from surfaces.classes import DINING_TABLE, FLOOR, OTHER, WALL
from surfaces.datasets import open_dataset
from surfaces.datasets.description import licences_of
from surfaces.errors import DatasetError, OutputError
from tests.distill.sources.builders import HEIGHT, WIDTH, picture, polygons_of, write_json, write_photo

ROOT = Path(__file__).parents[3]


def write_coco(folder: Path, photos: int, broken: int | None = None) -> Path:
    """A COCO file of `photos` photos with one table each; one photo may be broken."""
    for number in range(photos):
        write_photo(folder / "images" / f"{number:04d}.jpg", picture(seed=number))
    if broken is not None:
        (folder / "images" / f"{broken:04d}.jpg").write_bytes(b"no photo")
    square = polygons_of(slice(4, 12), slice(4, 20))
    write_json(
        folder / "instances.json",
        {
            "images": [{"id": n, "file_name": f"{n:04d}.jpg", "height": HEIGHT, "width": WIDTH} for n in range(photos)],
            "annotations": [
                {"id": n, "image_id": n, "category_id": 1, "segmentation": square, "iscrowd": 0} for n in range(photos)
            ],
            "categories": [{"id": 1, "name": "dining table"}],
        },
    )
    return folder / "instances.json"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run_import(path: Path, out: Path, *options: str) -> int:
    return main(["data", "import", "coco", str(path), "--out", str(out), *options])


def test_a_killed_import_goes_on_and_gives_the_same_files(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "coco", 1100)
    assert run_import(path, tmp_path / "whole", "--workers", "1") == 0
    command = [sys.executable, "-m", "distill", "data", "import", "coco", str(path), "--out", str(tmp_path / "killed")]
    process = subprocess.Popen([*command, "--workers", "1"], cwd=ROOT, stderr=subprocess.DEVNULL)
    work = tmp_path / "killed.part"
    while not list(work.glob(".import/part-*.json")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed").exists()
    finished = {path: path.stat().st_mtime_ns for path in work.glob(".import/part-*.json")}
    assert 0 < len(finished) < 5
    subprocess.run([*command, "--workers", "2"], cwd=ROOT, check=True, capture_output=True)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    assert not work.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coco", "killed", "whole"]
    assert len(open_dataset(tmp_path / "killed")) == 1100


def test_photos_are_links_of_the_source_unless_copies_are_asked_for(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "coco", 2)
    assert run_import(path, tmp_path / "linked", "--workers", "1") == 0
    assert run_import(path, tmp_path / "copied", "--workers", "1", "--copy") == 0
    photo = tmp_path / "coco" / "images" / "0000.jpg"
    assert (tmp_path / "linked" / "photos" / "0000.jpg").samefile(photo)
    assert not (tmp_path / "copied" / "photos" / "0000.jpg").samefile(photo)
    assert files_of(tmp_path / "linked") == files_of(tmp_path / "copied")


def test_faults_are_listed_after_the_rest_and_can_be_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_coco(tmp_path / "coco", 3, broken=1)
    assert run_import(path, tmp_path / "out", "--workers", "1") == DatasetError.exit_code
    assert "0001.jpg" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run_import(path, tmp_path / "out", "--workers", "1", "--skip-invalid") == 0
    assert "left out 1 photo" in capsys.readouterr().err
    assert [sample.name for sample in open_dataset(tmp_path / "out")] == ["0000", "0002"]


def test_another_import_in_the_same_place_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_coco(tmp_path / "coco", 3, broken=1)
    assert run_import(path, tmp_path / "out", "--workers", "1") == DatasetError.exit_code
    assert run_import(path, tmp_path / "out", "--workers", "1", "--limit", "2") == OutputError.exit_code
    assert "another source, class map or options" in capsys.readouterr().err


def test_limit_takes_photos_at_even_distances(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "coco", 9)
    assert run_import(path, tmp_path / "out", "--workers", "1", "--limit", "3") == 0
    assert [sample.name for sample in open_dataset(tmp_path / "out")] == ["0000", "0003", "0006"]


def test_a_class_map_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_coco(tmp_path / "coco", 1)
    mine = tmp_path / "mine.toml"
    mine.write_text('[[names]]\nto = "floor"\nnames = ["dining*"]\nreason = "a test"\n', "utf-8")
    assert run_import(path, tmp_path / "out", "--workers", "1", "--map", str(mine)) == 0
    (sample,) = open_dataset(tmp_path / "out")
    labels = sample.labels()
    assert np.unique(labels.semantic).tolist() == [OTHER, FLOOR.coco_id]
    assert labels.scope.unlabelled == {WALL.coco_id, DINING_TABLE.coco_id}
    mine.write_text('[[names]]\nto = "flour"\nnames = ["*"]\nreason = "a typo"\n', "utf-8")
    assert run_import(path, tmp_path / "other", "--workers", "1", "--map", str(mine)) == 11
    assert "did you mean 'floor'?" in capsys.readouterr().err
    mine.write_text('[[names]]\nto = "floor"\nnames = ["wall"]\nreason = "no rule for tables"\n', "utf-8")
    assert run_import(path, tmp_path / "other", "--workers", "1", "--map", str(mine)) == DatasetError.exit_code
    assert "expected a rule for the class 'dining table'" in capsys.readouterr().err


def test_licences_and_card_lie_beside_the_data(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "coco", 2)
    assert run_import(path, tmp_path / "out", "--workers", "1") == 0
    (licence,) = licences_of(tmp_path / "out")
    assert (licence.source, licence.commercial) == ("COCO", "unknown")
    card = (tmp_path / "out" / "DATA_CARD.md").read_text("utf-8")
    assert "| COCO |" in card
    assert "2 photos, 2 dining tables." in card


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"images": [1], "annotations": [], "categories": [{"id": 1, "name": "wall"}]}']
)
def test_other_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    path = tmp_path / "instances.json"
    path.write_text(content, "utf-8")
    assert run_import(path, tmp_path / "out", "--workers", "1") == DatasetError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("distill: expected")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "source", ["ade20k", "ade20k-full", "open-images", "opensurfaces", "nyuv2", "sun-rgbd", "rooms", "dataset"]
)
def test_an_empty_folder_is_no_source(tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str) -> None:
    (tmp_path / "empty").mkdir()
    code = main(["data", "import", source, str(tmp_path / "empty"), "--out", str(tmp_path / "out"), "--workers", "1"])
    assert code == DatasetError.exit_code
    assert capsys.readouterr().err.startswith("distill: expected")


def test_unknown_sources_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "import", "ade", str(tmp_path / "ade"), "--out", str(tmp_path / "out")]) == 11
    assert "did you mean 'ade20k'?" in capsys.readouterr().err


MEMORY = """
import json, resource, sys
from distill.__main__ import main
code = main(["data", "import", "coco", sys.argv[1], "--out", sys.argv[2], "--workers", "1", "--limit", "8"])
print(json.dumps([code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def test_memory_does_not_grow_with_the_annotations(tmp_path: Path) -> None:
    peaks = []
    for name, copies in (("small", 1), ("large", 4000)):
        path = write_coco(tmp_path / name, 8)
        content = json.loads(path.read_text("utf-8"))
        content["annotations"] = [
            {**annotation, "id": f"{annotation['id']}-{copy}", "category_id": 1 if copy == 0 else 2}
            for annotation in content["annotations"]
            for copy in range(copies)
        ]
        content["categories"].append({"id": 2, "name": "chair"})
        write_json(path, content)
        command = [sys.executable, "-c", MEMORY, str(path), str(tmp_path / f"{name}-out")]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        code, peak = json.loads(done.stdout.splitlines()[-1])
        assert code == 0
        peaks.append(peak)
    assert peaks[1] < 1.25 * peaks[0]  # 32,000 annotations as Python's objects would take half as much again


def test_another_tools_dataset_with_a_class_map(tmp_path: Path) -> None:
    export = ROOT / "tests" / "data" / "exports" / "ultralytics"
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[[names]]\nto = "wall"\nnames = ["dining table"]\nreason = "a test"\n\n'
        '[[names]]\nto = "other"\nnames = ["*"]\nreason = "the rest"\n',
        "utf-8",
    )
    command = ["data", "import", "dataset", str(export), "--workers", "1", "--out"]
    assert main([*command, str(tmp_path / "by-name")]) == 0
    assert main([*command, str(tmp_path / "mapped"), "--map", str(mine)]) == 0
    for plain, mapped in zip(open_dataset(tmp_path / "by-name"), open_dataset(tmp_path / "mapped"), strict=True):
        tables = plain.labels().semantic == DINING_TABLE.coco_id
        np.testing.assert_array_equal(mapped.labels().semantic == WALL.coco_id, tables)
        assert tables.any()


def test_mended_faults_are_found_by_the_same_command(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "coco", 3, broken=1)
    assert run_import(path, tmp_path / "out", "--workers", "1") == DatasetError.exit_code
    write_photo(tmp_path / "coco" / "images" / "0001.jpg", picture(seed=1))
    assert run_import(path, tmp_path / "out", "--workers", "1") == 0
    assert [sample.name for sample in open_dataset(tmp_path / "out")] == ["0000", "0001", "0002"]


def test_annotations_that_changed_since_are_not_mixed_with_earlier_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_coco(tmp_path / "coco", 3, broken=1)
    assert run_import(path, tmp_path / "out", "--workers", "1") == DatasetError.exit_code
    write_coco(tmp_path / "coco", 2)
    assert run_import(path, tmp_path / "out", "--workers", "1") == OutputError.exit_code
    assert "files that have changed since" in capsys.readouterr().err
    assert run_import(path, tmp_path / "other", "--workers", "1") == 0
    assert len(open_dataset(tmp_path / "other")) == 2


def test_a_killed_process_is_one_line_and_the_import_goes_on(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "coco", 600)
    command = [sys.executable, "-m", "distill", "data", "import", "coco", str(path), "--out", str(tmp_path / "out")]
    process = subprocess.Popen([*command, "--workers", "2"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not (workers := children_of(process.pid)):
        time.sleep(0.01)
    os.kill(workers[-1], signal.SIGKILL)  # as where memory is short
    _, err = process.communicate()
    assert process.returncode == OutputError.exit_code
    assert "--workers help" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert run_import(path, tmp_path / "out", "--workers", "1") == 0
    assert len(open_dataset(tmp_path / "out")) == 600


def children_of(pid: int) -> list[int]:
    """The processes that a process started for its work; not multiprocessing's own helper."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and b"spawn_main" in command:
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%20b"])
def test_folders_of_any_name(tmp_path: Path, name: str) -> None:
    path = write_coco(tmp_path / name / "coco", 1)
    assert run_import(path, tmp_path / name / "out", "--workers", "1") == 0
    assert len(open_dataset(tmp_path / name / "out")) == 1


def test_links_out_of_a_source_need_permission(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photo(tmp_path / "private.jpg")
    folder = tmp_path / "rooms" / "bathroom"
    folder.mkdir(parents=True)
    (folder / "a.jpg").symlink_to(tmp_path / "private.jpg")
    command = ["data", "import", "rooms", str(tmp_path / "rooms"), "--workers", "1", "--out", str(tmp_path / "out")]
    assert main(command) == DatasetError.exit_code
    assert "--follow-links" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "out.part")
    assert main([*command, "--follow-links"]) == 0


def test_only_reports_missing_photos_as_faults(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "coco", 3)
    (tmp_path / "coco" / "images" / "0001.jpg").unlink()
    assert run_import(path, tmp_path / "out", "--workers", "1", "--only", "000[02]") == DatasetError.exit_code
    assert run_import(path, tmp_path / "out", "--workers", "1", "--only", "000[02]", "--skip-invalid") == 0
    assert [sample.name for sample in open_dataset(tmp_path / "out")] == ["0000", "0002"]


def test_a_class_map_for_labels_of_ours_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_coco(tmp_path / "coco", 1)
    assert run_import(path, tmp_path / "ours", "--workers", "1") == 0
    mine = tmp_path / "mine.toml"
    mine.write_text('[[names]]\nto = "floor"\nnames = ["*"]\nreason = "a test"\n', "utf-8")
    command = ["data", "import", "dataset", str(tmp_path / "ours"), "--map", str(mine), "--out", str(tmp_path / "out")]
    assert main(command) == DatasetError.exit_code
    assert "for a class map, got labels of ours" in capsys.readouterr().err
