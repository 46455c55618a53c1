"""The labelling interface of a project, and creating, updating and finding projects that have it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from labelstudio.errors import ProjectError
from labelstudio.project.instructions import instructions_html
from labelstudio.server.connection import Server, server_errors
from surfaces.classes import CLASSES, DINING_TABLE
from surfaces.messages import printable

DEFAULT_TITLE = "interior-surfaces"
TO_NAME = "photo"
BRUSH = "brush"
POLYGON = "polygon"
VERDICT = "verdict"
COMMENT = "comment"
CLICK = "click"
BOX = "box"
UNSURE = "unsure"
REJECT = "reject"
IMAGE_FIELD = "image"

SAMPLING = "Sequential sampling"
"""Tasks are shown in the order in which they were made, which is the queue's."""
UNCERTAINTY_SAMPLING = "Uncertainty sampling"
"""Tasks are shown by the score of their prediction, which overrules the queue; projects of version 0.1 have it."""

_UNSURE_COLOUR_RGB = (128, 128, 128)
_CLASS_LABELS = tuple(surface.name for surface in CLASSES)
_BRUSH_LABELS = (*_CLASS_LABELS, UNSURE)
_REQUIRED_CONTROLS: dict[str, tuple[str, frozenset[str]]] = {
    BRUSH: ("BrushLabels", frozenset(_BRUSH_LABELS)),
    POLYGON: ("PolygonLabels", frozenset({DINING_TABLE.name})),
    VERDICT: ("Choices", frozenset({UNSURE, REJECT})),
    COMMENT: ("TextArea", frozenset()),
}
"""Tag and labels, by name, of the controls that annotations are read from."""
_LIST_CHARACTERS_MAX = 300


@dataclass(frozen=True)
class Project:
    """A project with our labelling interface.

    Attributes:
        url: of its list of tasks.
        model_version: whose predictions tasks open with; "" for any.
        sampling: order of tasks, as Label Studio names it.
    """

    id: int
    title: str
    url: str
    model_version: str = ""
    sampling: str = SAMPLING


def add_project_argument(parser: argparse.ArgumentParser) -> None:
    """Adds `--project`."""
    parser.add_argument(
        "--project", default=DEFAULT_TITLE, metavar="TITLE", help="the project on the server (%(default)s)"
    )


def label_config() -> str:
    """The labelling interface as Label Studio's XML; the controls are in a column, so that photos need no scrolling."""
    view = ET.Element("View", style="display: flex; gap: 16px")
    column = ET.SubElement(view, "View", style="flex: 0 0 152px")
    photo = ET.SubElement(view, "View", style="flex: 1; min-width: 0")
    # Controls are smart by default: each stroke would be sent to the backend as a prompt.
    _add_caption(column, "Brush")
    _add_labels(column, "BrushLabels", BRUSH, _BRUSH_LABELS, _hotkeys("123") | {UNSURE: "4"}, smart="false")
    _add_caption(column, "Polygon")
    polygon = {"strokeWidth": "2", "pointSize": "small", "smart": "false"}
    _add_labels(column, "PolygonLabels", POLYGON, [DINING_TABLE.name], {DINING_TABLE.name: "5"}, **polygon)
    # Smart only: no click or box stays as a region of its own.
    for name, tag, keys, caption in ((CLICK, "KeyPointLabels", "asd", "Click"), (BOX, "RectangleLabels", "zxc", "Box")):
        _add_caption(column, f"{caption}, by backend")
        _add_labels(column, tag, name, _CLASS_LABELS, _hotkeys(keys), smart="true", smartOnly="true")
    _add_caption(column, "Whole photo")
    choices = ET.SubElement(column, "Choices", name=VERDICT, toName=TO_NAME, choice="single", showInline="true")
    ET.SubElement(choices, "Choice", value=UNSURE, hint="I cannot judge this photo", hotkey="8")
    ET.SubElement(choices, "Choice", value=REJECT, hint="not an interior, a collage, or useless", hotkey="9")
    comment = {"placeholder": "comment", "maxSubmissions": "1", "editable": "true"}
    ET.SubElement(column, "TextArea", {"name": COMMENT, "toName": TO_NAME} | comment)
    image = {"name": TO_NAME, "value": f"${IMAGE_FIELD}", "zoom": "true", "zoomControl": "true"}
    image |= {"brightnessControl": "true", "contrastControl": "true", "rotateControl": "false", "crosshair": "false"}
    # The brush's size is chosen beside the toolbar: a full-width photo would be under it.
    ET.SubElement(photo, "Image", image | {"maxWidth": "calc(100% - 84px)"})
    ET.indent(view)
    return ET.tostring(view, encoding="unicode")


def create_project(server: Server, title: str, annotators: int = 1) -> Project:
    """Creates a project in which `annotators` people review each photo."""
    settings = _required_settings() | {"show_instruction": True, "show_skip_button": True}
    with server_errors():
        created = server.client.projects.create(
            title=title, maximum_annotations=annotators, sampling=SAMPLING, **settings
        )
    return _project(server, created)


def update_project(server: Server, title: str, annotators: int | None = None) -> tuple[Project, list[str]] | None:
    """Updates a project's interface, the number of annotators if given, and an order of tasks that overrules the queue.

    Returns:
        The project and the names of the changed settings, or None if there is no such project.

    Raises:
        ProjectError: there are several, or the server refuses because annotations would be lost.
    """
    found = _find(server, title)
    if found is None:
        return None
    wanted = _required_settings() | ({"maximum_annotations": annotators} if annotators else {})
    if found.sampling == UNCERTAINTY_SAMPLING:
        wanted["sampling"] = SAMPLING
    changes = {name: value for name, value in wanted.items() if getattr(found, name) != value}
    if changes:
        with server_errors():
            # An update alone drops labels that annotations use; this does not.
            server.client.projects.validate_label_config(found.id, label_config=wanted["label_config"])
            server.client.projects.update(found.id, **changes)
    return _project(server, found), list(changes)


def find_project(server: Server, title: str) -> Project:
    """Finds the one project of that title, with our interface; raises a ProjectError if there is none."""
    found = _find(server, title)
    if found is None:
        raise ProjectError(f"there is no project {title!r} on {server.url}; `python -m labelstudio init` creates it")
    difference = find_difference(str(found.label_config))
    if difference:
        words = f"project {title!r} has another labelling interface: {difference}"
        raise ProjectError(f"{words}; `python -m labelstudio init` updates it")
    return _project(server, found)


def find_difference(config: str) -> str | None:
    """Why annotations made with an interface cannot be read; None if they can. Additional controls are ignored."""
    try:
        # A document type could define entities that expand a billion times.
        root = ET.fromstring("" if "<!DOCTYPE" in config else config)
    except (ET.ParseError, ValueError):
        return "its interface is no XML"
    controls = {element.get("name"): element for element in root.iter() if element.get("toName")}
    images = {element.get("name"): element.get("value") for element in root.iter("Image")}
    if images.get(TO_NAME) != f"${IMAGE_FIELD}":
        return f"it has no Image {TO_NAME!r} of ${IMAGE_FIELD}"
    for name, (tag, labels) in _REQUIRED_CONTROLS.items():
        control = controls.get(name)
        if control is None or control.tag != tag:
            return f"it has no {tag} {name!r}"
        if control.get("toName") != TO_NAME:
            return f"{tag} {name!r} belongs to {control.get('toName')!r}, not to {TO_NAME!r}"
        found = {str(child.get("value")) for child in control if child.tag in ("Label", "Choice")}
        if found != labels:
            return f"{tag} {name!r} has {_join(found)}; expected {_join(labels)}"
    return None


def _required_settings() -> dict[str, Any]:
    return {
        "label_config": label_config(),
        "expert_instruction": instructions_html(),
        "enable_empty_annotation": True,
        "show_collab_predictions": True,
    }


def _find(server: Server, title: str) -> Any:
    with server_errors():
        similar: Iterable[Any] = server.client.projects.list(title=title)
        same = [found for found in similar if found.title == title]
        if len(same) > 1:
            raise ProjectError(f"{len(same)} projects on {server.url} are called {title!r}; rename all but one")
        return server.client.projects.get(same[0].id) if same else None


def _project(server: Server, found: Any) -> Project:
    url = f"{server.url}/projects/{found.id}/data"
    return Project(found.id, found.title, url, found.model_version or "", found.sampling or "")


def _add_labels(
    view: ET.Element, tag: str, name: str, labels: Sequence[str], hotkeys: Mapping[str, str], **attributes: str
) -> None:
    colours_rgb = {surface.name: surface.colour_rgb for surface in CLASSES} | {UNSURE: _UNSURE_COLOUR_RGB}
    control = ET.SubElement(view, tag, {"name": name, "toName": TO_NAME} | attributes)
    for label in labels:
        hotkey = {"hotkey": hotkeys[label]} if label in hotkeys else {}
        ET.SubElement(control, "Label", {"value": label, "background": f"#{bytes(colours_rgb[label]).hex()}"} | hotkey)


def _hotkeys(keys: str) -> dict[str, str]:
    """A key for each of the first classes; classes that users added are chosen with the mouse."""
    return dict(zip(_CLASS_LABELS, keys, strict=False))


def _add_caption(view: ET.Element, text: str) -> None:
    ET.SubElement(view, "Header", value=text, size="6", style="margin: 0; font-size: 14px")


def _join(labels: Iterable[str]) -> str:
    return printable(", ".join(sorted(labels)))[:_LIST_CHARACTERS_MAX] or "no labels"
