"""The notebook runs in a copy of the checkout, and its kept outputs are those of the run."""

from __future__ import annotations

import base64
import copy
import io
import json
import re
from collections.abc import Callable
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

Edit = Callable[[NotebookNode], None]


@pytest.fixture(scope="module")
def kept() -> NotebookNode:
    return read_notebook(ROOT)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    copy_needed(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def fresh(copied: Path) -> NotebookNode:
    return execute(copied)


@pytest.fixture
def work(copied: Path, fresh: NotebookNode) -> Path:
    """The files that the run wrote."""
    assert fresh.cells
    return copied / "output" / "walkthrough"


def outputs(notebook: NotebookNode, kind: str) -> list[NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ()) if output.output_type == kind]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def picture_of(output: NotebookNode) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(output.data["image/jpeg"])))


def test_kept_outputs_are_what_the_notebook_gives_now(kept: NotebookNode, fresh: NotebookNode) -> None:
    assert differences(kept, fresh) == [], "run `python -m tools.execute_notebook` and commit the notebook"


def test_kept_cells_were_run_once_in_their_order(kept: NotebookNode) -> None:
    counts = [cell.execution_count for cell in code_cells(kept)]
    assert counts == list(range(1, len(counts) + 1))


def test_kept_outputs_show_no_error_warning_or_machine(kept: NotebookNode) -> None:
    assert {output.output_type for cell in code_cells(kept) for output in cell.outputs} == {"stream", "display_data"}
    streams = outputs(kept, "stream")
    assert {output.name for output in streams} == {"stdout"}
    text = "\n".join(output.text for output in streams)
    assert not re.search(r"warning|exception|traceback", text, re.IGNORECASE)
    assert not re.search(r"(?<![\w:/])/\w|[A-Z]:\\|tmp", text.replace("://", ""))


def test_file_is_small_and_names_no_python_version(kept: NotebookNode) -> None:
    assert (ROOT / NAME).stat().st_size <= LARGEST_BYTES
    assert kept.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def test_pictures_are_kept_and_small(kept: NotebookNode) -> None:
    sizes = [picture_of(output).size for output in outputs(kept, "display_data")]
    assert len(sizes) == 2
    assert all(max(size) <= 1000 for size in sizes)


def test_links_lead_to_files(kept: NotebookNode) -> None:
    markdown = "\n".join(cell.source for cell in kept.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", markdown)
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


def test_metrics_are_those_of_two_networks_that_work(work: Path) -> None:
    before, after = (json.loads((work / part / "report.json").read_text()) for part in ("before", "after"))
    for report in (before, after):
        assert report["data"]["photos"] == 6
        assert all(0.6 < scores["iou"] < 1 for scores in report["classes"].values())
        assert all(0.3 < scores["boundary_iou"] < scores["iou"] for scores in report["classes"].values())
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


def edit_text(cell_id: str, pattern: str, replace: str | Callable[[re.Match[str]], str]) -> Edit:
    """Replaces the first match in the text that a cell printed."""

    def edit(notebook: NotebookNode) -> None:
        (cell,) = (cell for cell in notebook.cells if cell.get("id") == cell_id)
        shown = next(output for output in cell.outputs if output.output_type == "stream")
        before, shown.text = shown.text, re.sub(pattern, replace, shown.text, count=1)
        assert shown.text != before

    return edit


def add_to_number(cell_id: str, by: float) -> Edit:
    return edit_text(cell_id, r"\d\.\d{3}", lambda number: f"{float(number[0]) + by:.3f}")


def change_source(notebook: NotebookNode) -> None:
    notebook.cells[0].source += "\n"


def remove_outputs(notebook: NotebookNode) -> None:
    code_cells(notebook)[1].outputs = []


def flip_picture(notebook: NotebookNode) -> None:
    shown, flipped = outputs(notebook, "display_data")[0], io.BytesIO()
    picture_of(shown).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(flipped, "JPEG")
    shown.data["image/jpeg"] = base64.b64encode(flipped.getvalue()).decode()


EDITS: dict[str, tuple[Edit, int]] = {
    "same": (lambda _: None, 0),
    "last digit": (add_to_number("compare", 0.002), 0),
    "number": (add_to_number("compare", 0.1), 1),
    "number of a training, with a larger tolerance": (add_to_number("difference", 0.1), 0),
    "larger number of a training": (add_to_number("difference", 0.5), 1),
    "count": (edit_text("label", "15 labelled", "14 labelled"), 1),
    "word": (edit_text("label", "teacher: student", "teacher: grounded-sam"), 1),
    "source": (change_source, 1),
    "no output": (remove_outputs, 1),
    "picture": (flip_picture, 1),
}


@pytest.mark.parametrize(("edit", "found"), EDITS.values(), ids=EDITS)
def test_differences_of_notebooks(kept: NotebookNode, edit: Edit, found: int) -> None:
    other = copy.deepcopy(kept)
    edit(other)
    assert len(differences(kept, other)) == found
    assert len(differences(other, kept)) == found
