"""Documents with generated tables between markers, and SVG files that name their sources: checked or written."""

from __future__ import annotations

import hashlib
import inspect
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from surfaces.io.atomic_files import replace_file
from tools.build_docs.results import RESULTS, DocsError, Results
from tools.build_docs.runs import RUNS, find_run_problems, read_runs

IMAGES = Path("docs/images")

Tables = Mapping[str, Callable[[Results], str]]
"""By the name in the marker: from the result files to Markdown."""

Figures = Mapping[str, Callable[[Results], Figure]]
"""By the stem of the file in docs/images."""

_DOCUMENTS = ("*.md", "docs/**/*.md", "examples/**/*.md", "notebooks/**/*.md", "tests/data/**/*.md")
_PLACE = re.compile(r"^<!-- made: (?P<name>[\w.-]+) -->\n(?P<text>.*?)^<!-- /made -->$", re.DOTALL | re.MULTILINE)
_MARKER = re.compile(r"^<!-- ?(?:made:|/made).*", re.MULTILINE)
_SOURCE = re.compile(r"<dc:source>(.*?)</dc:source>", re.DOTALL)

RC: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "interior-surfaces",  # the same identifiers each time
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Written:
    """A file that was written, or the problem that prevented it, in one line."""

    path: Path
    problem: str = ""


def documents(root: Path) -> list[Path]:
    """The repository's Markdown files, in the order of their paths."""
    return sorted({path for pattern in _DOCUMENTS for path in root.glob(pattern)})


def write_documents(root: Path, tables: Tables) -> Iterator[Written]:
    """Builds the tables of all documents; a document with a problem is left as it is."""
    for path in documents(root):
        before = path.read_text(encoding="utf-8")
        try:
            if problem := _marker_problem(before):
                raise DocsError(problem)
            after = _PLACE.sub(lambda found: _rebuild(found, root, tables), before)
            if after != before:
                replace_file(path, after.encode())
                yield Written(path)
        except DocsError as error:
            yield Written(path, str(error))


def write_figures(root: Path, figures: Figures) -> Iterator[Written]:
    """Draws the figures whose result files or script changed."""
    for name, draw in figures.items():
        path = root / IMAGES / f"{name}.svg"
        try:
            if not path.is_file() or _changed_sources(path, draw, root / RESULTS):
                replace_file(path, draw_svg(draw, root / RESULTS))
                yield Written(path)
        except DocsError as error:
            yield Written(path, str(error))


def draw_svg(draw: Callable[[Results], Figure], folder: Path) -> bytes:
    """An SVG file with the SHA-256 of its result files and scripts; the same bytes for a version of matplotlib."""
    results, stream = Results(folder), io.BytesIO()
    with rc_context(RC):
        figure = draw(results)
        sources = {name: _sha256(folder / name) for name in sorted(results.used)} | _drawing_sources(draw)
        source = " ".join(f"{name}={digest}" for name, digest in sources.items())
        figure.savefig(stream, format="svg", metadata={"Date": None, "Source": source})
    return stream.getvalue()


def find_problems(root: Path, tables: Tables, figures: Figures) -> list[str]:
    """One line for each table, figure and result file that is stale, missing or unused."""
    texts = {path.relative_to(root): path.read_text(encoding="utf-8") for path in documents(root)}
    results, drawn = Results(root / RESULTS), {path.stem for path in (root / IMAGES).glob("*.svg")}
    places = [(path, found) for path, text in texts.items() for found in _PLACE.finditer(text)]
    prose = "\n".join(texts.values())
    return [
        *(f"{path}: {problem}" for path, text in texts.items() if (problem := _marker_problem(text))),
        *(line for path, place in places for line in _check_table(path, place, tables, results)),
        *(f"table '{name}' is in no document" for name in tables if name not in {place["name"] for _, place in places}),
        *(line for name, draw in figures.items() for line in _check_figure(root, name, draw, results)),
        *(f"{IMAGES}/{name}.svg: no document shows it" for name in figures if f"{name}.svg" not in prose),
        *(f"{IMAGES}/{name}.svg: no function draws it" for name in sorted(drawn - set(figures))),
        *_check_results(texts, results),
    ]


def _rebuild(place: re.Match[str], root: Path, tables: Tables) -> str:
    text = _build(tables, place["name"], Results(root / RESULTS))
    return f"<!-- made: {place['name']} -->\n{text}<!-- /made -->"


def _build(tables: Tables, name: str, results: Results) -> str:
    if name not in tables:
        raise DocsError(f"no function makes the table '{name}'")
    return tables[name](results).strip("\n") + "\n"


def _marker_problem(text: str) -> str:
    """The first marker without its other half, in one line; empty if there is none."""
    inside = "".join(found["text"] for found in _PLACE.finditer(text))
    if stray := _MARKER.findall(_PLACE.sub("", text) + inside):
        return f"expected a line '<!-- made: NAME -->' and after it a line '<!-- /made -->', got '{stray[0]}' by itself"
    return ""


def _check_table(path: Path, place: re.Match[str], tables: Tables, results: Results) -> Iterator[str]:
    read = Results(results.folder)
    try:
        if _build(tables, place["name"], read) != place["text"]:
            sources = ", ".join(sorted(read.used)[:3]) or "its function"
            yield f"{path}: table '{place['name']}' is not what {sources} gives"
    except DocsError as error:
        yield f"{path}: {error}"
    results.used |= read.used


def _check_figure(root: Path, name: str, draw: Callable[[Results], Figure], results: Results) -> Iterator[str]:
    svg = IMAGES / f"{name}.svg"
    if not (root / svg).is_file():
        yield f"{svg}: was never drawn"
        return
    results.used |= set(_recorded_sources(root / svg))
    if changed := _changed_sources(root / svg, draw, root / RESULTS):
        yield f"{svg}: was drawn from another {', '.join(changed[:3])}"


def _changed_sources(svg: Path, draw: Callable[[Results], Figure], folder: Path) -> list[str]:
    """Names of the sources that differ from those an SVG file was drawn from."""
    recorded, now = _recorded_sources(svg), _drawing_sources(draw)
    now |= {name: _sha256(folder / name) for name in recorded if (folder / name).is_file()}
    return sorted(name for name in {*recorded, *now} if recorded.get(name) != now.get(name))


def _drawing_sources(draw: Callable[[Results], Figure]) -> dict[str, str]:
    script = Path(inspect.getfile(draw))
    return {script.name: _sha256(script), "style": hashlib.sha256(repr(RC).encode()).hexdigest()}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _recorded_sources(svg: Path) -> dict[str, str]:
    source = _SOURCE.search(svg.read_text(encoding="utf-8"))
    return dict(part.split("=", 1) for part in source[1].split() if "=" in part) if source else {}


def _check_results(texts: Mapping[Path, str], results: Results) -> Iterator[str]:
    """Contradictions of runs.toml, links to runs that it lacks, result files and runs that nothing uses."""
    try:
        yield from (f"{RESULTS}/{problem}" for problem in find_run_problems(results.folder))
        runs = read_runs(Results(results.folder))
    except DocsError as error:
        yield str(error)
        return
    stems = {name: name.removesuffix(".json") for run in runs.values() for name in run.files}
    linked = set()
    for path, text in texts.items():
        anchors = set(re.findall(r"results/README\.md#([\w.-]+)\)", text))
        linked |= anchors
        for anchor in sorted(anchors - {*runs, *stems.values()}):
            yield f"{path}: links to the run '{anchor}', which {RUNS} does not have"
    prose = "\n".join(text for path, text in texts.items() if path.parent != RESULTS)
    for run_name, run in runs.items():
        for name in run.files:
            if name not in results.used and name not in prose and not {run_name, stems[name]} & linked:
                yield f"{RESULTS / name}: no table, figure or document uses it"
        if not run.files and run_name not in linked:
            yield f"{RESULTS / RUNS}: the run '{run_name}' has no result file, and no document links to it"
