"""The labelling interface: which controls a reviewer has, and whether a project on the server has them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from labelstudio.errors import ProjectError
from labelstudio.project.instructions import guide_html
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

_UNSURE_COLOUR_RGB = (128, 128, 128)
_BRUSH_LABELS = (*(c.name for c in CLASSES), UNSURE)
_CLASS_LABELS = tuple(c.name for c in CLASSES)
_SHAPE: dict[str, tuple[str, frozenset[str]]] = {
    BRUSH: ("BrushLabels", frozenset(_BRUSH_LABELS)),
    POLYGON: ("PolygonLabels", frozenset({DINING_TABLE.name})),
    VERDICT: ("Choices", frozenset({UNSURE, REJECT})),
    COMMENT: ("TextArea", frozenset()),
}
"""The controls that annotations are read from: tag and labels by name."""
_FIRST_SETTINGS: dict[str, Any] = {
    "show_instruction": True,
    "show_skip_button": True,
}
"""What people may choose otherwise later."""

SAMPLING = "Sequential sampling"
"""Tasks are shown in the order in which they were made, which is that of the queue."""

_LONGEST_LIST = 300
OVERRULING_SAMPLING = "Uncertainty sampling"
"""Tasks are shown by the score of their prediction, whatever the queue; projects of older versions have it."""


@dataclass(frozen=True)
class Project:
    """A project with our labelling interface.

    Attributes:
        id: on the server.
        title: by which people find it.
        url: of its list of tasks.
        model_version: whose predictions a task opens with; "" for any.
        sampling: the order in which tasks are shown, as Label Studio names it.
    """

    id: int
    title: str
    url: str
    model_version: str = ""
    sampling: str = SAMPLING


def add_project_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the project."""
    parser.add_argument(
        "--project", default=DEFAULT_TITLE, metavar="TITLE", help="the project on the server (%(default)s)"
    )


def label_config() -> str:
    """The labelling interface as Label Studio's XML: the controls in a column, so that photos need no scrolling."""
    view = ET.Element("View", style="display: flex; gap: 16px")
    column = ET.SubElement(view, "View", style="flex: 0 0 152px")
    photo = ET.SubElement(view, "View", style="flex: 1; min-width: 0")
    # Controls are smart unless told otherwise: each stroke would go to the backend as a question.
    _caption(column, "Brush")
    _labels(column, "BrushLabels", BRUSH, _BRUSH_LABELS, _keys("123") | {UNSURE: "4"}, smart="false")
    _caption(column, "Polygon")
    polygon = {"strokeWidth": "2", "pointSize": "small", "smart": "false"}
    _labels(column, "PolygonLabels", POLYGON, [DINING_TABLE.name], {DINING_TABLE.name: "5"}, **polygon)
    # Smart only: no click or box stays as a region of its own.
    for name, tag, keys, caption in ((CLICK, "KeyPointLabels", "asd", "Click"), (BOX, "RectangleLabels", "zxc", "Box")):
        _caption(column, f"{caption}, by backend")
        _labels(column, tag, name, _CLASS_LABELS, _keys(keys), smart="true", smartOnly="true")
    _caption(column, "Whole photo")
    choices = ET.SubElement(column, "Choices", name=VERDICT, toName=TO_NAME, choice="single", showInline="true")
    ET.SubElement(choices, "Choice", value=UNSURE, hint="I cannot judge this photo", hotkey="8")
    ET.SubElement(choices, "Choice", value=REJECT, hint="not an interior, a collage, or useless", hotkey="9")
    ET.SubElement(
        column, "TextArea", name=COMMENT, toName=TO_NAME, placeholder="comment", maxSubmissions="1", editable="true"
    )
    image = {"name": TO_NAME, "value": f"${IMAGE_FIELD}", "zoom": "true", "zoomControl": "true"}
    image |= {"brightnessControl": "true", "contrastControl": "true", "rotateControl": "false", "crosshair": "false"}
    # The brush's size is chosen beside the toolbar: a full-width photo would lie under it.
    ET.SubElement(photo, "Image", image | {"maxWidth": "calc(100% - 84px)"})
    ET.indent(view)
    return ET.tostring(view, encoding="unicode")


def create_project(server: Server, title: str, annotators: int = 1) -> Project:
    """Makes a project.

    Args:
        server: where.
        title: by which it is found later.
        annotators: how many people review each photo.

    Raises:
        ProjectError: the server refuses it, such as for its title.
        ServerAwayError: it does not answer.
    """
    with server_errors():
        settings = _kept_settings() | _FIRST_SETTINGS
        created = server.client.projects.create(
            title=title, maximum_annotations=annotators, sampling=SAMPLING, **settings
        )
    return _project(server, created)


def update_project(server: Server, title: str, annotators: int | None = None) -> tuple[Project, list[str]] | None:
    """Brings a project's interface up to date; what people chose in its settings otherwise stays, except for an
    order of tasks that overrules the queue.

    Args:
        server: where it is.
        title: of the project.
        annotators: how many people review each photo, or None for as many as now.

    Returns:
        The project and what was changed, or None where there is no such project.

    Raises:
        ProjectError: there are several, or the server refuses since annotations were made that would be lost.
        ServerAwayError: it does not answer.
    """
    found = _find(server, title)
    if found is None:
        return None
    wanted = _kept_settings() | ({"maximum_annotations": annotators} if annotators else {})
    if found.sampling == OVERRULING_SAMPLING:
        wanted["sampling"] = SAMPLING
    changes = {name: value for name, value in wanted.items() if getattr(found, name) != value}
    if changes:
        with server_errors():
            # An update itself drops labels that annotations use; this does not.
            server.client.projects.validate_label_config(found.id, label_config=wanted["label_config"])
            server.client.projects.update(found.id, **changes)
    return _project(server, found), list(changes)


def find_project(server: Server, title: str) -> Project:
    """Finds the project of that title, with our interface.

    Raises:
        ProjectError: there is none, or several, or its interface is of another shape.
        ServerAwayError: the server does not answer.
    """
    found = _find(server, title)
    if found is None:
        raise ProjectError(f"there is no project {title!r} on {server.url}; `python -m labelstudio init` makes it")
    difference = difference_of(str(found.label_config))
    if difference:
        raise ProjectError(
            f"project {title!r} is of another shape: {difference}; `python -m labelstudio init` mends it"
        )
    return _project(server, found)


def show_predictions(server: Server, project: Project, model_version: str) -> None:
    """Has tasks open with the predictions of one model version, of which there must be some."""
    with server_errors():
        server.client.projects.update(project.id, model_version=model_version)


def difference_of(config: str) -> str | None:
    """What keeps an interface from being ours, or None where annotations made with it can be read.

    Controls beyond ours are no hindrance: what they are told is not read.
    """
    try:
        # What entities stand for may be a billion times as long.
        root = ET.fromstring("" if "<!DOCTYPE" in config else config)
    except (ET.ParseError, ValueError):
        return "its interface is no XML"
    controls = {element.get("name"): element for element in root.iter() if element.get("toName")}
    images = {element.get("name"): element.get("value") for element in root.iter("Image")}
    if images.get(TO_NAME) != f"${IMAGE_FIELD}":
        return f"it has no Image {TO_NAME!r} of ${IMAGE_FIELD}"
    for name, (tag, labels) in _SHAPE.items():
        control = controls.get(name)
        if control is None or control.tag != tag:
            return f"it has no {tag} {name!r}"
        if control.get("toName") != TO_NAME:
            return f"{tag} {name!r} belongs to {control.get('toName')!r}, not to {TO_NAME!r}"
        known = {str(child.get("value")) for child in control if child.tag in ("Label", "Choice")}
        if known != labels:
            return f"{tag} {name!r} has {_listed(known)}; expected {_listed(labels)}"
    return None


def _kept_settings() -> dict[str, Any]:
    """What a project needs for the other commands to work."""
    return {
        "label_config": label_config(),
        "expert_instruction": guide_html(),
        "enable_empty_annotation": True,
        "show_collab_predictions": True,
    }


def _find(server: Server, title: str) -> Any:
    """The server's own record of the project of that title, whatever its interface; None where there is none."""
    with server_errors():
        similar: Iterable[Any] = server.client.projects.list(title=title)
        alike = [found for found in similar if found.title == title]
        if len(alike) > 1:
            raise ProjectError(f"{len(alike)} projects on {server.url} are called {title!r}; rename all but one")
        return server.client.projects.get(alike[0].id) if alike else None


def _labels(view: ET.Element, tag: str, name: str, values: Sequence[str], keys: Mapping[str, str], **more: str) -> None:
    control = ET.SubElement(view, tag, {"name": name, "toName": TO_NAME} | more)
    for value in values:
        hotkey = {"hotkey": keys[value]} if value in keys else {}
        ET.SubElement(control, "Label", {"value": value, "background": _colour(value)} | hotkey)


def _keys(keys: str) -> dict[str, str]:
    """A key for each of the first classes; those that were added are chosen with the mouse."""
    return dict(zip(_CLASS_LABELS, keys, strict=False))


def _caption(view: ET.Element, text: str) -> None:
    ET.SubElement(view, "Header", value=text, size="6", style="margin: 0; font-size: 14px")


def _colour(label: str) -> str:
    colours = {c.name: c.colour_rgb for c in CLASSES} | {UNSURE: _UNSURE_COLOUR_RGB}
    return "#{:02x}{:02x}{:02x}".format(*colours[label])


def _listed(labels: set[str] | frozenset[str]) -> str:
    return printable(", ".join(sorted(labels)))[:_LONGEST_LIST] or "no labels"


def _project(server: Server, found: Any) -> Project:
    url = f"{server.url}/projects/{found.id}/data"
    return Project(found.id, found.title, url, found.model_version or "", found.sampling or "")
