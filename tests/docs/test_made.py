"""Generated tables and figures in a small repository: written, and each way in which they can be stale is named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure as Drawing

from docs.made import __main__ as command
from docs.made.check import stale
from docs.made.drawings import draw_svg
from docs.made.entries import Figure, MadeError, Table
from docs.made.formats import change, markdown_table, read_result, share
from docs.made.style import new_figure
from docs.made.write import Written, write_figures, write_tables

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


def scores(results: Path) -> str:
    return markdown_table(["", "IoU"], [["ours", share(read_result(results, "scores.json")["iou"])]])


def dots(results: Path) -> Drawing:
    figure, (axes,) = new_figure(2, 2)
    axes.plot([0], [read_result(results, "scores.json")["iou"]], "o")
    axes.set_title("IoU of ours")
    return figure


TABLES = {"scores": Table(scores, ("scores.json",))}
FIGURES = {"dots": Figure(dots, ("scores.json",))}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one document, its table and its figure, written."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "docs" / "results").mkdir(parents=True)
    page(folder).write_text(PAGE)
    runs(folder).write_text(RUNS)
    result(folder).write_text(json.dumps(RESULT))
    (folder / "docs" / "results" / "config.json").write_text('{"seed": 1}')
    assert list(write_tables(folder, TABLES)) == [Written(page(folder))]
    assert list(write_figures(folder, FIGURES)) == [Written(svg(folder))]
    return folder


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    return shutil.copytree(template, tmp_path / "repository")


def page(root: Path) -> Path:
    return root / "docs" / "page.md"


def result(root: Path) -> Path:
    return root / "docs" / "results" / "scores.json"


def runs(root: Path) -> Path:
    return root / "docs" / "results" / "runs.toml"


def svg(root: Path) -> Path:
    return root / "docs" / "images" / "dots.svg"


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_what_was_written_is_not_stale(root: Path) -> None:
    assert "<!-- made: scores -->\n|  | IoU |\n|---|---|\n| ours | .500 |\n<!-- /made -->\n" in page(root).read_text()
    assert stale(root, TABLES, FIGURES) == []


def test_nothing_is_written_twice(root: Path) -> None:
    assert list(write_tables(root, TABLES)) == []
    assert list(write_figures(root, FIGURES)) == []


def test_only_what_stands_between_the_marks_is_written(root: Path) -> None:
    edit(page(root), ".500", "???")
    assert list(write_tables(root, TABLES)) == [Written(page(root))]
    assert re.sub(r"\|.*\|\n", "", page(root).read_text()) == PAGE


def test_a_figure_has_its_text_as_text_and_no_date(root: Path) -> None:
    text = svg(root).read_text()
    assert ">IoU of ours</text>" in text
    assert "<dc:date>" not in text
    assert text.encode() == draw_svg(FIGURES["dots"], root / "docs/results")


def test_svg_text_of_another_maker_gets_the_origins_too(root: Path) -> None:
    figures = {"dots": Figure(lambda _: '<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>\n', ("scores.json",))}
    assert list(write_figures(root, figures)) == []  # the same results and the same script: not drawn anew
    svg(root).unlink()
    assert list(write_figures(root, figures)) == [Written(svg(root))]
    assert stale(root, TABLES, figures) == []


WAYS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a number edited by hand": (
        lambda root: edit(page(root), ".500", ".501"),
        ["docs/page.md: table 'scores' is not what scores.json gives"],
    ),
    "a result that changed": (
        lambda root: edit(result(root), "0.5", "0.6"),
        [
            "docs/page.md: table 'scores' is not what scores.json gives",
            "docs/images/dots.svg: was drawn from another scores.json",
        ],
    ),
    "a script that changed": (
        lambda root: edit(svg(root), "style.py=", "style.py=0"),
        ["docs/images/dots.svg: was drawn from another style.py"],
    ),
    "a figure that was not drawn": (lambda root: svg(root).unlink(), ["docs/images/dots.svg: was never drawn"]),
    "a figure without a function": (
        lambda root: svg(root).with_stem("old").write_text("<svg/>"),
        ["docs/images/old.svg: no function draws it"],
    ),
    "a figure that no document shows": (
        lambda root: edit(page(root), "(images/dots.svg)", "(dots)"),
        ["docs/images/dots.svg: no document shows it"],
    ),
    "a place without a function, a function without a place": (
        lambda root: edit(page(root), "made: scores", "made: other"),
        ["docs/page.md: no function makes the table 'other'", "table 'scores' stands in no document"],
    ),
    "a link to a run that is not there": (
        lambda root: edit(
            page(root), "Before.", "[Before](results/README.md#trail), [after](results/README.md#trial)."
        ),
        ["docs/page.md: links to the run 'trail', which runs.toml does not have"],
    ),
    "a result without an entry": (
        lambda root: result(root).with_stem("new").write_text("{}"),
        ["docs/results/new.json: has no entry in runs.toml"],
    ),
    "another network": (
        lambda root: edit(runs(root), '"0123456789ab"', '"ba9876543210"'),
        ["docs/results/scores.json: runs.toml says the network ba9876543210, the file 0123456789ab"],
    ),
    "another seed": (
        lambda root: edit(runs(root), "seed = 1", "seed = 2"),
        ["docs/results/scores.json: runs.toml says seed 2, config.json 1"],
    ),
    "settings that are missing": (
        lambda root: result(root).with_stem("config").unlink(),
        ["docs/results/config.json: runs.toml names it, and it is missing"],
    ),
    "a result entered twice": (
        lambda root: runs(root).write_text(RUNS + RUNS.partition("\n")[2].replace("trial", "twin")),
        ["docs/results/scores.json: has two entries in runs.toml"],
    ),
    "an entry without its data": (lambda root: edit(runs(root), 'data = "none"\n', ""), ["docs/results/runs.toml: "]),
    "an entry with a key too many": (
        lambda root: edit(runs(root), "data =", "date = 1\ndata ="),
        ["docs/results/runs.toml: "],
    ),
    "a broken file of entries": (lambda root: edit(runs(root), "[trial]", "[trial"), ["docs/results/runs.toml: "]),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_stale_is_named(root: Path, way: str) -> None:
    change_one, told = WAYS[way]
    change_one(root)
    lines = stale(root, TABLES, FIGURES)
    assert len(lines) == len(told), lines
    assert all(line.startswith(start) for line, start in zip(lines, told, strict=True)), lines


def test_a_missing_result_is_named_wherever_it_is_needed(root: Path) -> None:
    result(root).unlink()
    told = "\n".join(stale(root, TABLES, FIGURES))
    assert "docs/page.md: table 'scores' can't be made" in told
    assert "docs/images/dots.svg: can't be drawn" in told
    assert "docs/results/scores.json: runs.toml names it, and it is missing" in told
    for written in (*write_tables(root, TABLES), *write_figures(root, FIGURES)):
        assert "docs/results/scores.json, which is missing" in written.problem


def test_a_result_that_nothing_uses_is_named_until_a_document_links_to_it(root: Path) -> None:
    (root / "docs/results/more.json").write_text("{}")
    with runs(root).open("a") as file:
        file.write('"more.json" = { is = "more" }\n')
    assert stale(root, TABLES, FIGURES) == ["docs/results/more.json: no table, figure or document uses it"]
    edit(page(root), "Before.", "Before ([run](results/README.md#more)).")
    assert stale(root, TABLES, FIGURES) == []


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
def test_marks_without_their_other_half_are_named_and_their_document_is_left_alone(
    root: Path, before: str, after: str
) -> None:
    edit(page(root), before, after)
    edit(result(root), "0.5", "0.6")
    damaged = page(root).read_text()
    assert any(line.startswith("docs/page.md: expected a line '<!-- made: NAME") for line in stale(root, TABLES, {}))
    (written,) = write_tables(root, TABLES)
    assert written.problem.startswith("expected a line")
    assert page(root).read_text() == damaged


def test_the_command_tells_by_its_exit_code(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "TABLES", TABLES)
    monkeypatch.setattr(command, "FIGURES", FIGURES)
    assert command.main(["--check"], root) == 0
    edit(result(root), "0.5", "0.6")
    assert command.main(["--check"], root) == command.STALE
    assert capsys.readouterr().out.count("\n") == 2
    assert command.main([], root) == 0
    assert capsys.readouterr().out == "docs/page.md\ndocs/images/dots.svg\n"
    result(root).unlink()
    assert command.main([], root) == MadeError.exit_code
    told = capsys.readouterr().err
    assert told.startswith("docs.made: docs/page.md: expected the result file docs/results/scores.json")
    assert told.count("\n") == 2


def test_numbers_are_written_as_the_documents_write_them() -> None:
    assert [share(0.8624), share(1.0), share(0.0, 2)] == [".862", "1.000", ".00"]
    assert [change(0.0334), change(-0.0012), change(-0.0001)] == ["+.033", "-.001", "+.000"]
    with pytest.raises(MadeError, match="expected 2 cells"):
        markdown_table(["a", "b"], [["1"]])
