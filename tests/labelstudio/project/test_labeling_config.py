"""The labelling interface: what the real server makes of it, and how a project that has another one is told apart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from label_studio_sdk.label_interface import LabelInterface

from labelstudio.__main__ import main
from labelstudio.errors import ProjectError
from labelstudio.project.instructions import CLASSES_GUIDE, instructions_html
from labelstudio.project.labeling_config import (
    BRUSH,
    Project,
    create_project,
    find_project,
    label_config,
)
from surfaces.classes import CLASSES
from tests.labelstudio.review_scenes import entry
from tests.labelstudio.servers import TestServer

FOREIGN = """<View><Image name="photo" value="$image"/>
<Choices name="verdict" toName="photo"><Choice value="a"/></Choices></View>"""


@pytest.fixture
def command(label_studio: TestServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.account.token)
    return lambda *arguments: main([*arguments, "--home", str(label_studio.local.home)])


def annotate(server: TestServer, project: Project, result: list[dict[str, Any]]) -> None:
    task = server.client.tasks.create(project=project.id, data={"image": "/photo.jpg"})
    server.client.annotations.create(task.id, result=result)


def brushed(label: str) -> dict[str, Any]:
    return entry(BRUSH, "brushlabels", (1, 1), format="rle", rle=[0, 0, 0, 1, 0], brushlabels=[label])


def test_the_interface_is_valid_and_has_distinct_keys_and_the_colours_of_overlays() -> None:
    LabelInterface(label_config()).validate()
    xml = ET.fromstring(label_config())
    labels = xml.findall(f".//BrushLabels[@name='{BRUSH}']/Label")
    expected = {c.name: "#" + bytes(c.colour_rgb).hex() for c in CLASSES} | {"unsure": "#808080"}
    assert {label.get("value"): label.get("background") for label in labels} == expected
    keys = [element.get("hotkey") for element in xml.iter() if element.get("hotkey")]
    assert len(keys) == 13
    assert len(set(keys)) == len(keys)
    assert not set(keys) & set("behkmopruvw[]"), "Label Studio's own keys"


def test_the_guide_is_that_of_the_documents() -> None:
    page = (Path(__file__).parents[3] / "docs" / "labelling.md").read_text("utf-8")
    guide = [" ".join(paragraph.split()) for paragraph in CLASSES_GUIDE.strip().split("\n\n")]
    assert [" ".join(paragraph.split()) for paragraph in page.split("\n\n")][1 : 1 + len(guide)] == guide
    assert "<p><b>Dining table.</b> A table at which people eat" in instructions_html()
    assert "*" not in instructions_html()


def test_a_new_project_is_found(label_studio: TestServer, project: Project) -> None:
    assert find_project(label_studio, project.title) == project
    stored = label_studio.client.projects.get(project.id)
    assert stored.show_collab_predictions
    assert stored.enable_empty_annotation
    assert stored.show_instruction
    assert stored.show_skip_button
    assert stored.sampling == "Sequential sampling"
    assert "A window is a hole in the wall's mask." in stored.expert_instruction


def test_titles_that_name_no_project(label_studio: TestServer, project: Project) -> None:
    with pytest.raises(ProjectError, match="no project"):
        find_project(label_studio, project.title[:-1])
    twin = create_project(label_studio, project.title)
    with pytest.raises(ProjectError, match="2 projects"):
        find_project(label_studio, project.title)
    label_studio.client.projects.delete(twin.id)
    with pytest.raises(ProjectError, match=r"rejects the request \(HTTP 400\): .*title"):
        create_project(label_studio, "ab")


def test_init_creates_once(command: Any, label_studio: TestServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("init", "--project", "init creates", "--annotators", "2") == 0
    first = capsys.readouterr().out
    url = first.splitlines()[0]
    project = label_studio.client.projects.get(int(re.findall(r"\d+", url)[-1]))
    assert "created" in first
    assert project.title == "init creates"
    assert project.maximum_annotations == 2

    assert command("init", "--project", "init creates") == 0
    assert capsys.readouterr().out == f"{url}\nproject 'init creates' up to date\n"
    assert label_studio.client.projects.get(project.id) == project


def test_init_brings_an_older_interface_up_to_date(
    command: Any, label_studio: TestServer, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    older = re.sub(r"<KeyPointLabels.*</RectangleLabels>", "", label_config(), flags=re.DOTALL)
    label_studio.client.projects.update(project.id, label_config=older, sampling="Uniform sampling")
    annotate(label_studio, project, [brushed("wall")])

    assert find_project(label_studio, project.title).id == project.id, "annotations made with it can be read"
    assert command("init", "--project", project.title) == 0
    assert "updated: label_config" in capsys.readouterr().out
    stored = label_studio.client.projects.get(project.id)
    assert stored.label_config == label_config()
    assert stored.sampling == "Uniform sampling", "what people chose stays"


def test_init_changes_an_order_of_tasks_that_overrules_the_queue(
    command: Any, label_studio: TestServer, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    label_studio.client.projects.update(project.id, sampling="Uncertainty sampling")
    assert command("init", "--project", project.title) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"project {project.title!r} updated: sampling"]
    assert label_studio.client.projects.get(project.id).sampling == "Sequential sampling"


def test_init_does_not_break_annotations(
    command: Any, label_studio: TestServer, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    wider = label_config().replace('<Label value="wall"', '<Label value="door"/><Label value="wall"', 1)
    label_studio.client.projects.update(project.id, label_config=wider)
    annotate(label_studio, project, [brushed("door")])

    assert command("init", "--project", project.title) == ProjectError.exit_code
    assert re.fullmatch(r"labelstudio: Label Studio rejects the request .*door.*\n", capsys.readouterr().err)
    assert label_studio.client.projects.get(project.id).label_config == wider


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _: FOREIGN, "it has no BrushLabels 'brush'"),
        (lambda config: config.replace("$image", "$url"), r"it has no Image 'photo' of \$image"),
        (
            lambda config: re.sub(r'<Label value="floor"[^>]*>', "", config, count=1),
            "dining table, unsure, wall; expected",
        ),
        (lambda config: config.replace('"polygon"', '"outline"'), "it has no PolygonLabels 'polygon'"),
        (lambda config: config.replace("TextArea", "Number"), "it has no TextArea 'comment'"),
    ],
)
def test_another_shape_is_named(label_studio: TestServer, project: Project, change: Any, words: str) -> None:
    label_studio.client.projects.update(project.id, label_config=change(label_config()))
    with pytest.raises(ProjectError, match=words):
        find_project(label_studio, project.title)


def test_predictions_of_the_chosen_model_are_shown(label_studio: TestServer, project: Project) -> None:
    task = label_studio.client.tasks.create(project=project.id, data={"image": "/photo.jpg"})
    for version in ("first", "second"):
        label_studio.client.predictions.create(task=task.id, result=[brushed("wall")], score=0.5, model_version=version)
    label_studio.client.projects.update(project.id, model_version="second")

    assert find_project(label_studio, project.title).model_version == "second"
    shown = label_studio.session.get(f"/api/projects/{project.id}/next").json()
    assert [prediction["model_version"] for prediction in shown["predictions"]] == ["second"]
