"""The notebook runs in a copy of the checkout, does what it says, and its kept outputs are what it gives."""

from __future__ import annotations

import base64
import copy
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat import NotebookNode
from PIL import Image

from distill.training.config import TrainConfig
from labelstudio.sync.regions import annotation_to_labels
from surfaces.images.load import load_image
from surfaces.store.label_store import LabelStore
from tools.execute_notebook import NAME, copy_needed, differences, execute, read_notebook

ROOT = Path(__file__).resolve().parents[1]
LARGEST_BYTES = 1_500_000
PHOTOS = 15


@pytest.fixture(scope="module")
def kept() -> NotebookNode:
    """The notebook of this checkout."""
    return read_notebook(ROOT)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout's parts that the notebook needs."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_needed(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def fresh(copied: Path) -> NotebookNode:
    """The notebook, run in the copy."""
    return execute(copied)


@pytest.fixture
def work(copied: Path, fresh: NotebookNode) -> Path:
    """What the run wrote."""
    assert fresh.cells
    return copied / "output" / "walkthrough"


def outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(notebook: NotebookNode, cell_id: str) -> NotebookNode:
    """The text that a cell printed."""
    (cell,) = (cell for cell in notebook.cells if cell.get("id") == cell_id)
    return next(output for output in cell.outputs if output.output_type == "stream")


def with_a_number_changed(notebook: NotebookNode, cell_id: str, by: float) -> NotebookNode:
    """A copy of the notebook; the first number with three decimals that the cell printed is larger."""
    other = copy.deepcopy(notebook)
    shown = text_of(other, cell_id)
    shown.text = re.sub(r"\d\.\d{3}", lambda number: f"{float(number[0]) + by:.3f}", shown.text, count=1)
    assert other != notebook
    return other


def test_kept_outputs_are_what_the_notebook_gives_now(kept: NotebookNode, fresh: NotebookNode) -> None:
    assert differences(kept, fresh) == [], "run `python -m tools.execute_notebook` and commit the notebook"


def test_kept_cells_were_run_once_in_their_order(kept: NotebookNode) -> None:
    counts = [cell.execution_count for cell in code_cells(kept)]
    assert counts == list(range(1, len(counts) + 1))


def test_kept_outputs_show_no_error_warning_or_machine(kept: NotebookNode) -> None:
    assert {output.output_type for output in outputs(kept)} == {"stream", "display_data"}
    text = "\n".join(output.text for output in outputs(kept) if output.output_type == "stream")
    assert {output.name for output in outputs(kept) if output.output_type == "stream"} == {"stdout"}
    assert not re.search(r"warning|exception|traceback", text, re.IGNORECASE)
    assert not re.search(r"(?<![\w:/])/\w|[A-Z]:\\|tmp", text.replace("://", ""))


def test_file_is_small_and_names_no_python_version(kept: NotebookNode) -> None:
    assert (ROOT / NAME).stat().st_size <= LARGEST_BYTES
    assert kept.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def test_pictures_are_kept_and_small(kept: NotebookNode) -> None:
    pictures = [output.data["image/jpeg"] for output in outputs(kept) if output.output_type == "display_data"]
    sizes = [Image.open(io.BytesIO(base64.b64decode(picture))).size for picture in pictures]
    assert len(sizes) == 2
    assert all(max(size) <= 1000 for size in sizes)


def test_links_lead_to_files(kept: NotebookNode) -> None:
    links = [
        target
        for cell in kept.cells
        if cell.cell_type == "markdown"
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", cell.source)
    ]
    assert len(links) >= 8
    assert [link for link in links if not (ROOT / NAME).parent.joinpath(link).exists()] == []


def test_every_photo_is_labelled(work: Path) -> None:
    with LabelStore.open(work / "labels") as store:
        counts = store.counts()
    assert (counts.photos, counts.reviewed, counts.failures) == (PHOTOS, 0, {})
    assert counts.segments["wall"] == counts.segments["floor"] == PHOTOS


def test_tasks_hold_the_labels_of_every_photo(work: Path) -> None:
    tasks = json.loads((work / "tasks.json").read_text())
    with LabelStore.open(work / "labels") as store:
        photos = {photo.sha256: photo for photo in store.photos()}
        assert {task["data"]["sha256"] for task in tasks} == set(photos)
        for task in tasks:
            photo = photos[task["data"]["sha256"]]
            reviewed = annotation_to_labels(task["predictions"][0]["result"], photo.height, photo.width).labels.labels()
            assert (reviewed.semantic == store.labels(photo.sha256).labels().semantic).all()


def test_student_was_trained_beside_the_labels(work: Path) -> None:
    settings = json.loads((work / "training" / "config.json").read_text())
    assert settings["extra"] == ["output/walkthrough/labels"]
    assert settings["steps"] < TrainConfig(data=("any",)).steps
    assert (work / "training" / "student.npz").stat().st_size > 1e6


@pytest.mark.parametrize("part", ["before", "after"])
def test_metrics_are_those_of_a_network_that_works(work: Path, part: str) -> None:
    report = json.loads((work / part / "report.json").read_text())
    assert report["data"]["photos"] == 6
    assert all(0.6 < scores["iou"] < 1 for scores in report["classes"].values())
    assert all(0.3 < scores["boundary_iou"] < scores["iou"] for scores in report["classes"].values())


def test_before_and_after_are_different_networks(work: Path) -> None:
    before, after = (json.loads((work / part / "report.json").read_text()) for part in ("before", "after"))
    assert before["model"]["sha256"] != after["model"]["sha256"]
    assert before["classes"] != after["classes"]


def test_picture_shows_masks_over_the_photo(work: Path) -> None:
    (picture,) = (work / "pictures").glob("*.jpg")
    drawn, photo = load_image(str(picture)), load_image(str(ROOT / "examples" / "pexels-3965508.jpg"))
    assert drawn.shape == photo.shape
    assert (abs(drawn[::8, ::8].astype(int) - photo[::8, ::8]).max(axis=2) > 20).mean() > 0.3


def test_nothing_is_written_elsewhere(copied: Path, work: Path) -> None:
    written = [path for path in copied.rglob("*") if path.is_file() and not path.is_relative_to(work)]
    others = [path.relative_to(copied) for path in written if "__pycache__" not in path.parts]
    assert [path for path in others if not (ROOT / path).is_file()] == []


def test_a_notebook_does_not_differ_from_itself(kept: NotebookNode) -> None:
    assert differences(kept, copy.deepcopy(kept)) == []


def test_last_digits_may_differ(kept: NotebookNode) -> None:
    assert differences(kept, with_a_number_changed(kept, "compare", 0.002)) == []
    assert differences(kept, with_a_number_changed(kept, "difference", 0.1)) == []


def test_another_number_is_told(kept: NotebookNode) -> None:
    assert len(differences(kept, with_a_number_changed(kept, "compare", 0.1))) == 1
    assert len(differences(kept, with_a_number_changed(kept, "difference", 0.5))) == 1


def test_another_count_is_told(kept: NotebookNode) -> None:
    other = copy.deepcopy(kept)
    text_of(other, "label").text = text_of(kept, "label").text.replace("15 labelled", "14 labelled")
    assert len(differences(kept, other)) == 1


def test_other_words_are_told(kept: NotebookNode) -> None:
    other = copy.deepcopy(kept)
    text_of(other, "label").text = text_of(kept, "label").text.replace("teacher: student", "teacher: grounded-sam")
    assert len(differences(kept, other)) == 1


def test_another_source_is_told(kept: NotebookNode) -> None:
    other = copy.deepcopy(kept)
    other.cells[0].source += "\n"
    assert differences(kept, other) == ["cell 1: another source"]


def test_missing_outputs_are_told(kept: NotebookNode) -> None:
    other = copy.deepcopy(kept)
    code_cells(other)[1].outputs = []
    assert len(differences(other, kept)) == 1


def test_another_picture_is_told(kept: NotebookNode) -> None:
    other = copy.deepcopy(kept)
    shown = next(output for output in outputs(other) if output.output_type == "display_data")
    picture = Image.open(io.BytesIO(base64.b64decode(shown.data["image/jpeg"])))
    turned = io.BytesIO()
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(turned, "JPEG")
    shown.data["image/jpeg"] = base64.b64encode(turned.getvalue()).decode()
    assert len(differences(kept, other)) == 1
