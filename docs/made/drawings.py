"""SVG files that say what they were made from."""

from __future__ import annotations

import hashlib
import inspect
import io
import re
from pathlib import Path

from matplotlib import rc_context

from docs.made import style
from docs.made.entries import Figure, MadeError

_SOURCE = re.compile(r"<dc:source>(.*?)</dc:source>", re.DOTALL)


def origins(figure: Figure, results: Path) -> dict[str, str]:
    """SHA-256 of all that a figure is made from, by the file's name: results, the drawing script, the style.

    Raises:
        MadeError: a result file is missing.
    """
    scripts = Path(inspect.getfile(figure.draw)), Path(style.__file__)
    files = [*(results / name for name in figure.results), *scripts]
    try:
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise MadeError(f"expected the result file docs/results/{missing}, which is missing") from error


def draw_svg(figure: Figure, results: Path) -> bytes:
    """Draws a figure; the same bytes each time, as long as matplotlib is the same.

    Returns:
        An SVG file with `origins` in its metadata.
    """
    told = " ".join(f"{name}={digest}" for name, digest in origins(figure, results).items())
    with rc_context(style.RC):
        drawing = figure.draw(results)
        if isinstance(drawing, str):
            return _with_source(drawing, told).encode()
        stream = io.BytesIO()
        drawing.savefig(stream, format="svg", metadata={"Date": None, "Source": told})
    return stream.getvalue()


def _with_source(svg: str, told: str) -> str:
    """An SVG file's text with `told` in its metadata, where matplotlib has it."""
    metadata = (
        '<metadata><rdf:RDF xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:cc="http://creativecommons.org/ns#"'
        ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f"<cc:Work><dc:source>{told}</dc:source></cc:Work></rdf:RDF></metadata>"
    )
    return re.sub(r"(<svg\b[^>]*>)", lambda opening: opening[1] + metadata, svg, count=1)


def told_origins(svg: Path) -> dict[str, str]:
    """The `origins` that an SVG file tells in its metadata; empty where it tells none."""
    source = _SOURCE.search(svg.read_text(encoding="utf-8"))
    if not source:
        return {}
    return dict(part.split("=", 1) for part in source[1].split() if "=" in part)
