"""What is stale: generated tables and figures that are not what the result files give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from docs.made.documents import as_text, documents, places, stray_marks, stray_told
from docs.made.drawings import origins, told_origins
from docs.made.entries import Figure, MadeError, Table
from docs.made.runs import RUNS, read_runs, runs_problems

RESULTS, IMAGES = Path("docs/results"), Path("docs/images")


def stale(root: Path, tables: Mapping[str, Table], figures: Mapping[str, Figure]) -> list[str]:
    """Everything in a repository's documents that is not as the result files give it, one line each.

    Args:
        root: the repository's folder.
        tables: by their names.
        figures: by their names.
    """
    texts = {path.relative_to(root): path.read_text(encoding="utf-8") for path in documents(root)}
    return [
        *(line for path, text in texts.items() for line in _stale_places(path, text, root / RESULTS, tables)),
        *_tables_without_place(texts, tables),
        *(line for name, figure in figures.items() for line in _stale_figure(root, name, figure)),
        *_figures_without_place(root, texts, figures),
        *_result_problems(root / RESULTS, texts, tables, figures),
    ]


def _stale_places(path: Path, text: str, results: Path, tables: Mapping[str, Table]) -> Iterator[str]:
    for mark in stray_marks(text):
        yield f"{path}: {stray_told(mark)}"
    for place in places(text):
        if place.name not in tables:
            yield f"{path}: no function makes the table '{place.name}'"
            continue
        table = tables[place.name]
        try:
            if as_text(table.make(results)) != place.text:
                yield f"{path}: table '{place.name}' is not what {_listed(table.results) or 'its function'} gives"
        except MadeError as error:
            yield f"{path}: table '{place.name}' can't be made: {error}"


def _tables_without_place(texts: Mapping[Path, str], tables: Mapping[str, Table]) -> Iterator[str]:
    placed = {place.name for text in texts.values() for place in places(text)}
    for name in tables:
        if name not in placed:
            yield f"table '{name}' stands in no document"


def _stale_figure(root: Path, name: str, figure: Figure) -> Iterator[str]:
    svg = IMAGES / f"{name}.svg"
    if not (root / svg).is_file():
        yield f"{svg}: was never drawn"
        return
    try:
        now, told = origins(figure, root / RESULTS), told_origins(root / svg)
    except MadeError as error:
        yield f"{svg}: can't be drawn: {error}"
        return
    changed = [file for file in {**now, **told} if now.get(file) != told.get(file)]
    if changed:
        yield f"{svg}: was drawn from another {_listed(changed)}"


def _figures_without_place(root: Path, texts: Mapping[Path, str], figures: Mapping[str, Figure]) -> Iterator[str]:
    for name in figures:
        if not any(f"{name}.svg" in text for text in texts.values()):
            yield f"{IMAGES / name}.svg: no document shows it"
    for svg in sorted((root / IMAGES).glob("*.svg")):
        if svg.stem not in figures:
            yield f"{svg.relative_to(root)}: no function draws it"


def _lost_links(results: Path, texts: Mapping[Path, str]) -> Iterator[str]:
    runs = read_runs(results)
    anchors = {run.name for run in runs} | {file.stem for run in runs for file in run.files}
    for path, text in texts.items():
        for anchor in sorted(set(re.findall(r"results/README\.md#([\w.-]+)\)", text)) - anchors):
            yield f"{path}: links to the run '{anchor}', which {RUNS} does not have"


def _unused_results(
    results: Path, texts: Mapping[Path, str], tables: Mapping[str, Table], figures: Mapping[str, Figure]
) -> Iterator[str]:
    entries: list[Table | Figure] = [*tables.values(), *figures.values()]
    used = {name for entry in entries for name in entry.results}
    told = "\n".join(text for path, text in texts.items() if path.parent != RESULTS)
    for run in read_runs(results):
        for file in run.files:
            anchors = f"results/README.md#{run.name})", f"results/README.md#{file.stem})"
            if file.name not in used and file.name not in told and not any(anchor in told for anchor in anchors):
                yield f"{RESULTS / file.name}: no table, figure or document uses it"


def _result_problems(
    results: Path, texts: Mapping[Path, str], tables: Mapping[str, Table], figures: Mapping[str, Figure]
) -> Iterator[str]:
    try:
        yield from (f"{RESULTS}/{problem}" for problem in runs_problems(results))
        yield from _lost_links(results, texts)
        yield from _unused_results(results, texts, tables, figures)
    except MadeError as error:
        yield str(error)


def _listed(names: tuple[str, ...] | list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
