"""How generated tables and figures are built and checked, on a small repository."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from tools.build_docs import __main__ as command
from tools.build_docs.documents import Written, draw_svg, find_problems, write_documents, write_figures
from tools.build_docs.results import DocsError, Results, fill, lookup, table
from tools.build_docs.tables import ERRORS, error_causes

PAGE = """# A page

Before.

<!-- made: scores -->
<!-- /made -->

![Scores](images/dots.svg) Write `<!-- made: NAME -->` for a table.
"""

RUNS = """machine = "a machine"

[trial]
title = "A trial"
shows = "Nothing much."
commands = "true"
data = "none"
commit = "abcdef0"
commit_note = "made up"

[trial.files]
"scores.json" = { is = "the scores", config = "config.json", seed = 1, network = "0123456789ab" }
"""

RESULT = {"model": {"sha256": "0123456789abcdef"}, "iou": 0.5}


def scores(results: Results) -> str:
    return table([("", "ours"), ("IoU", "{iou}")], [results.read("scores.json")])


def dots(results: Results) -> Figure:
    figure = Figure(figsize=(2, 2))
    axes = figure.subplots()
    axes.plot([0], [results.read("scores.json")["iou"]], "o")
    axes.set_title("IoU of ours")
    return figure


TABLES = {"scores": scores}
FIGURES = {"dots": dots}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one document, its table and its figure, written."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "docs" / "results").mkdir(parents=True)
    page(folder).write_text(PAGE)
    runs(folder).write_text(RUNS)
    result(folder).write_text(json.dumps(RESULT))
    (folder / "docs" / "results" / "config.json").write_text('{"seed": 1}')
    assert list(write_documents(folder, TABLES)) == [Written(page(folder))]
    assert list(write_figures(folder, FIGURES)) == [Written(svg(folder))]
    return folder


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    return shutil.copytree(template, tmp_path / "repository")


def page(root: Path) -> Path:
    return root / "docs/page.md"


def runs(root: Path) -> Path:
    return root / "docs/results/runs.toml"


def result(root: Path) -> Path:
    return root / "docs/results/scores.json"


def svg(root: Path) -> Path:
    return root / "docs/images/dots.svg"


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_what_was_written_is_current_and_not_written_again(root: Path) -> None:
    assert "<!-- made: scores -->\n|  | IoU |\n|---|---|\n| ours | .500 |\n<!-- /made -->\n" in page(root).read_text()
    assert find_problems(root, TABLES, FIGURES) == []
    assert [*write_documents(root, TABLES), *write_figures(root, FIGURES)] == []


def test_only_text_between_the_markers_is_written(root: Path) -> None:
    edit(page(root), ".500", "???")
    assert list(write_documents(root, TABLES)) == [Written(page(root))]
    assert re.sub(r"\|.*\|\n", "", page(root).read_text()) == PAGE


def test_a_figure_has_its_text_as_text_and_no_date(root: Path) -> None:
    text = svg(root).read_text()
    assert ">IoU of ours</text>" in text
    assert "<dc:date>" not in text
    assert text.encode() == draw_svg(dots, root / "docs/results")


TABLE, FIGURE, ENTRIES = (
    "docs/page.md: table 'scores' is not what scores.json gives",
    "docs/images/dots.svg: ",
    "docs/results/",
)
LINKS = "[Before](results/README.md#trail), [after](results/README.md#trial)."
NETWORK = "scores.json: runs.toml has the network ba9876543210, the file 0123456789ab"
UNKNOWN = ["docs/page.md: no function makes the table 'other'", "table 'scores' is in no document"]
TWIN = RUNS.partition("\n")[2].replace("trial", "twin")
MORE = RUNS.partition("[trial.files]")[0].partition("\n")[2].replace("trial", "more")


@pytest.mark.parametrize(
    ("file", "before", "after", "messages"),
    [
        (page, ".500", ".501", [TABLE]),
        (result, "0.5", "0.6", [TABLE, FIGURE + "was drawn from another scores.json"]),
        (svg, "test_build_docs.py=", "test_build_docs.py=0", [FIGURE + "was drawn from another test_build_docs.py"]),
        (svg, "style=", "style=0", [FIGURE + "was drawn from another style"]),
        (page, "(images/dots.svg)", "(dots)", [FIGURE + "no document shows it"]),
        (page, "made: scores", "made: other", UNKNOWN),
        (page, "Before.", LINKS, ["docs/page.md: links to the run 'trail', which runs.toml does not have"]),
        (runs, RUNS, RUNS + MORE, [ENTRIES + "runs.toml: the run 'more' has no result file, and no document links"]),
        (runs, RUNS, RUNS + TWIN, [ENTRIES + "scores.json: has two entries in runs.toml"]),
        (runs, '"0123456789ab"', '"ba9876543210"', [ENTRIES + NETWORK]),
        (runs, "seed = 1", "seed = 2", [ENTRIES + "scores.json: runs.toml has seed 2, config.json 1"]),
        (runs, 'data = "none"\n', "", [ENTRIES + "runs.toml: trial.data: Field required"]),
        (runs, "data =", "date = 1\ndata =", [ENTRIES + "runs.toml: trial.date: Extra inputs are not permitted"]),
        (runs, 'machine = "a machine"', "", [ENTRIES + "runs.toml: expected the key 'machine'"]),
        (runs, "[trial]", "[trial", [ENTRIES + "runs.toml: "]),
    ],
)
def test_stale_parts_are_named(
    root: Path, file: Callable[[Path], Path], before: str, after: str, messages: list[str]
) -> None:
    edit(file(root), before, after)
    assert_problems(root, messages)


def assert_problems(root: Path, messages: list[str]) -> None:
    lines = find_problems(root, TABLES, FIGURES)
    assert len(lines) == len(messages), lines
    assert all(line.startswith(start) for line, start in zip(lines, messages, strict=True)), lines


def test_missing_and_unknown_files_are_named(root: Path) -> None:
    svg(root).rename(svg(root).with_stem("old"))
    assert_problems(root, [FIGURE + "was never drawn", "docs/images/old.svg: no function draws it"])
    svg(root).with_stem("old").rename(svg(root))
    result(root).with_stem("config").rename(result(root).with_stem("new"))
    unknown = ["new.json: has no entry in runs.toml", "config.json: runs.toml names it, and it is missing"]
    assert_problems(root, [ENTRIES + line for line in unknown])
    result(root).with_stem("new").rename(result(root).with_stem("config"))
    result(root).unlink()
    missing = "docs/page.md: expected the result file docs/results/scores.json, which is missing"
    changed = FIGURE + "was drawn from another scores.json"
    assert_problems(root, [missing, changed, ENTRIES + "scores.json: runs.toml names it, and it is missing"])


def test_an_unused_result_is_named_until_a_document_links_to_it(root: Path) -> None:
    (root / "docs/results/more.json").write_text("{}")
    with runs(root).open("a") as file:
        file.write('"more.json" = { is = "more" }\n')
    assert find_problems(root, TABLES, FIGURES) == ["docs/results/more.json: no table, figure or document uses it"]
    edit(page(root), "Before.", "Before ([run](results/README.md#more)).")
    assert find_problems(root, TABLES, FIGURES) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<!-- /made -->", ""),
        ("<!-- /made -->", "<!-- /made --> and more"),
        ("<!-- made: scores -->\n", ""),
        ("<!-- made: scores -->\n", "<!-- made: scores -->\n<!-- made: scores -->\n"),
        ("<!-- made: scores -->", "<!--made: scores-->"),
    ],
)
def test_a_document_with_half_a_pair_of_markers_is_left_as_it_is(root: Path, before: str, after: str) -> None:
    edit(page(root), before, after)
    edit(result(root), "0.5", "0.6")
    damaged = page(root).read_text()
    assert any(line.startswith("docs/page.md: expected a line '<!-- made") for line in find_problems(root, TABLES, {}))
    (written,) = write_documents(root, TABLES)
    assert written.problem.startswith("expected a line")
    assert page(root).read_text() == damaged


def test_exit_codes_of_the_command(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("TABLES", TABLES), ("FIGURES", FIGURES), ("ROOT", root)):
        monkeypatch.setattr(command, name, value)
    assert command.main(["--check"]) == 0
    edit(result(root), "0.5", "0.6")
    assert command.main(["--check"]) == command.STALE
    assert capsys.readouterr().out.count("\n") == 2
    assert command.main([]) == 0
    assert capsys.readouterr().out == "docs/page.md\ndocs/images/dots.svg\n"
    result(root).unlink()
    assert command.main([]) == DocsError.exit_code
    errors = capsys.readouterr().err
    assert errors.startswith("build_docs: docs/page.md: expected the result file docs/results/scores.json")
    assert errors.count("\n") == 2


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{classes/wall/iou} of {classes/wall/photos}", ".862 of 1,047"),
        ("{classes/*/iou}, {seeds/*}", ".931, .500"),
        ("{seeds/1:.1f} {none}{none/none}", "0.6 "),
        ("{score:interval}, {score/value:interval}", ".500 (.400-.600), .500"),
        ("{title}{seen:seen}", "a model *(trained on)*"),
    ],
)
def test_cells_are_templates(template: str, text: str) -> None:
    data: dict[str, Any] = {
        "classes": {"wall": {"iou": 0.8624, "photos": 1047}, "floor": {"iou": 1.0}},
        "seeds": [0.4, 0.6],
        "none": None,
        "score": {"value": 0.5, "interval": [0.4, 0.6]},
        "title": "a model",
        "seen": "trained on",
    }
    assert fill(template, data) == text
    assert lookup(data, "classes/roof/iou") is None


def test_error_causes_with_shares(tmp_path: Path) -> None:
    lost = {"wall": 0.03, "floor": 0.0, "dining table": 0.0, "mean": 0.01}
    content: dict[str, Any] = {
        "causes": [{"cause": "rug", "photos": 2, "main": 1, "lost_iou": lost}],
        "worst": [{}, {}],
        "lost_iou_of_worst": {**lost, "mean": 0.02},
        "lost_iou": {"wall": 0.06, "floor": 0.06, "dining table": 0.0, "mean": 0.04},
        "photos": dict.fromkeys("abc"),
    }
    for name, photos in zip(ERRORS, ("abc", "ab"), strict=True):
        (tmp_path / name).write_text(json.dumps(content | {"photos": dict.fromkeys(photos)}))
    rows, of_worst_only = (error_causes(Results(tmp_path), name).splitlines() for name in ERRORS)
    assert rows[2:] == [
        "| rug | 2 | .0300 |  |  | .0100 | 50% |",
        "| these 2 photos | 2 | .0300 |  |  | .0200 | 50% of all |",
        "| all 3 photos |  | .0600 | .0600 |  | .0400 |  |",
    ]
    assert of_worst_only[3:] == ["| these 2 photos | 2 | .0300 |  |  | .0200 |  |"]
