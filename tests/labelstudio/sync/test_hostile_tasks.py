"""Tasks that a hostile reviewer, project or server made: values or errors of one line, whatever comes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstudio.errors import AnnotationError
from labelstudio.project.labeling_config import Project, find_difference
from labelstudio.project.tasks import list_tasks, read_stats, read_task
from labelstudio.server.connection import open_server, server_errors
from labelstudio.sync.regions import annotation_to_labels
from labelstudio.sync.review_log import LoggedTask, ReviewLog
from labelstudio.sync.reviews import decide, read_reviews
from surfaces.cli.progress import write_line
from surfaces.errors import SurfacesError
from tests.labelstudio.impostors import WHO, Response, impostor_at, says
from tests.labelstudio.review_scenes import entry, simple_labels
from tests.labelstudio.sync.test_reviews import SIZE_HW, annotation, prediction

pytestmark = pytest.mark.security

HEIGHT, WIDTH = SIZE_HW
PROJECT = Project(1, "title", "http://127.0.0.1/projects/1/data")
POINTS = [[1, 1], [90, 1], [90, 90]]
POLYGON = entry("polygon", "polygonlabels", SIZE_HW, points=POINTS, closed=True, polygonlabels=["dining table"])
COMMENT = entry("comment", "textarea", text=["a remark"])
VERDICT = entry("verdict", "choices", choices=["unsure"])

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, 1 << 63, -1])
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["brushlabels", "polygonlabels", "wall", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def task() -> dict[str, Any]:
    first = annotation(1, simple_labels(), parent_prediction=7)
    second = annotation(2, simple_labels(seed=1))
    second["result"] += [POLYGON, COMMENT, VERDICT]
    return copy.deepcopy({"id": 1, "predictions": [prediction(7, simple_labels())], "annotations": [first, second]})


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    for _ in range(draw(st.integers(1, 3))):
        at, parts = value, list(value) if isinstance(value, dict) else range(len(value))
        key = draw(st.sampled_from(list(parts)))
        while isinstance(at[key], dict | list) and at[key] and draw(st.integers(0, 5)):
            at = at[key]
            key = draw(st.sampled_from(list(at) if isinstance(at, dict) else range(len(at))))
        if draw(st.booleans()):
            at[key] = draw(junk)
        else:
            del at[key]
        if not value:
            break
    return value


@settings(max_examples=80)
@given(st.builds(task).flatmap(mutated))
def test_mutated_tasks_are_reviews_or_errors(tmp_path_factory: pytest.TempPathFactory, mutation: Any) -> None:
    try:
        reviews = read_reviews(mutation, HEIGHT, WIDTH)
        decision = decide(reviews, "majority")
    except SurfacesError:
        return
    if decision is None:
        return
    logged = LoggedTask("key", 1, "sha256", "now", decision.decided_at, decision.outcome, decision.agreement)
    with ReviewLog.of(tmp_path_factory.getbasetemp() / "none", create=False) as log:
        log.record(logged, [review.logged for review in reviews])
        assert len(log.annotations("key")) == len({review.logged.number for review in reviews})


@pytest.mark.parametrize(
    "changes",
    [
        {"id": 1 << 63},
        {"id": "one"},
        {"updated_at": "yesterday"},
        {"updated_at": "0001-01-01T00:00:00+23:59"},
        {"updated_at": None},
        {"result": None},
        {"result": [POLYGON | {"value": {"points": [[10**400, 0]] * 3, "polygonlabels": ["dining table"]}}]},
        {"result": [POLYGON | {"value": {"points": [[0, 0]] * 20_001, "polygonlabels": ["dining table"]}}]},
    ],
    ids=["number-too-great", "text-number", "no-moment", "before-time", "no-text", "no-result", "far", "many-points"],
)
def test_annotations_that_cannot_be_are_reported(changes: dict[str, Any]) -> None:
    hostile = {"predictions": [], "annotations": [annotation(1, simple_labels(), **changes)]}
    with pytest.raises(AnnotationError):
        read_reviews(hostile, HEIGHT, WIDTH)


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    person = {"email": "a\x1b[2J\ud800\u202e@example.com" + "x" * 1000}
    hostile = annotation(1, simple_labels(), completed_by=person, lead_time=10**400)
    [review] = read_reviews({"predictions": [], "annotations": [hostile]}, HEIGHT, WIDTH)
    assert review.logged.annotator.isprintable()
    assert review.logged.annotator.startswith("a\\x1b[2J\\ud800\\u202e@example.com")
    assert len(review.logged.annotator) < 400
    assert review.logged.seconds is None
    write_line("title \x1b]0;owned\x07")
    assert capsys.readouterr().err == "title \\x1b]0;owned\\x07\n"


def test_regions_beyond_the_memory_of_a_machine_are_rejected_unread() -> None:
    regions = [POLYGON | {"original_width": 10**5, "original_height": 10**5}] * 301
    with pytest.raises(AnnotationError, match="at most 300 regions of a photo of 100000x100000 pixels, got 301"):
        annotation_to_labels(regions, 10**5, 10**5)


def test_an_interface_that_declares_entities_is_not_expanded() -> None:
    assert find_difference('<!DOCTYPE v [<!ENTITY a "b">]><View>&a;</View>') == "its interface is no XML"
    assert find_difference("<View>\ud800</View>") == "its interface is no XML"


DEEP = says(200, "[" * 100_000 + "]" * 100_000)
FACTS = {"id": 1, "created_at": "now", "task_number": 1, "num_tasks_with_annotations": 1}


@pytest.mark.parametrize(
    "answer",
    [DEEP, says(200, [1]), says(200, {"tasks": [{}] * 200}), says(200, FACTS | {"tasks": [FACTS]}), says(200, "{")],
    ids=["deep", "list", "empty-tasks", "incomplete", "cut-off"],
)
def test_a_server_that_answers_anything_is_reported(answer: Response) -> None:
    with impostor_at(WHO, answer) as impostor:
        server = open_server(impostor.url, "a-token")
        for ask in (read_stats, lambda *known: list(list_tasks(*known))):
            with pytest.raises(SurfacesError) as caught, server_errors():
                ask(server, PROJECT)
            assert str(caught.value).isprintable()


def test_a_server_that_gives_the_same_page_for_ever_is_reported() -> None:
    page = [{"id": 1, "data": [], "updated_at": "now", "total_annotations": 0}] * 200
    with impostor_at(WHO, says(200, {"tasks": page})) as impostor:
        server = open_server(impostor.url, "a-token")
        with pytest.raises(SurfacesError, match="expected tasks after number 1, got number 1"):
            list(list_tasks(server, PROJECT))
        impostor.answers = [says(200, [])]
        with pytest.raises(SurfacesError, match=r"expected a task, got \[\]"):
            read_task(server, 1)
