"""Generated tables and figures: on a small repository, and those of this one, of which none is stale."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.figure import Figure

from tools.build_docs import __main__ as command
from tools.build_docs.documents import IMAGES, Written, draw_svg, find_problems, write_documents, write_figures
from tools.build_docs.figures import FIGURES
from tools.build_docs.results import RESULTS, DocsError, Results, fill, lookup, table
from tools.build_docs.runs import Run, read_runs
from tools.build_docs.tables import ERRORS, TABLES, error_causes

ROOT = Path(__file__).resolve().parents[2]

PAGE_TEXT = """# A page

Before.

<!-- made: scores -->
<!-- /made -->

![Scores](images/dots.svg) Write `<!-- made: NAME -->` for a table.
"""

RUNS_TEXT = """machine = "a machine"

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

RESULT_VALUES = {"model": {"sha256": "0123456789abcdef"}, "iou": 0.5}


def scores(results: Results) -> str:
    return table([("", "ours"), ("IoU", "{iou}")], [results.read("scores.json")])


def dots(results: Results) -> Figure:
    figure = Figure(figsize=(2, 2))
    axes = figure.subplots()
    axes.plot([0], [results.read("scores.json")["iou"]], "o")
    axes.set_title("IoU of ours")
    return figure


DOTS = {"dots": dots}
SCORES = {"scores": scores}
PAGE, SVG, RUNS, RESULT = "docs/page.md", "docs/images/dots.svg", "docs/results/runs.toml", "docs/results/scores.json"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one document, its table and its figure, written."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "docs" / "results").mkdir(parents=True)
    (folder / PAGE).write_text(PAGE_TEXT)
    (folder / RUNS).write_text(RUNS_TEXT)
    (folder / RESULT).write_text(json.dumps(RESULT_VALUES))
    (folder / "docs" / "results" / "config.json").write_text('{"seed": 1}')
    assert list(write_documents(folder, SCORES)) == [Written(folder / PAGE)]
    assert list(write_figures(folder, DOTS)) == [Written(folder / SVG)]
    return folder


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    return shutil.copytree(template, tmp_path / "repository")


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_what_was_written_is_current_and_not_written_again(root: Path) -> None:
    written = "<!-- made: scores -->\n|  | IoU |\n|---|---|\n| ours | .500 |\n<!-- /made -->\n"
    assert written in (root / PAGE).read_text()
    assert find_problems(root, SCORES, DOTS) == []
    assert [*write_documents(root, SCORES), *write_figures(root, DOTS)] == []


def test_only_text_between_the_markers_is_written(root: Path) -> None:
    edit(root / PAGE, ".500", "???")
    assert list(write_documents(root, SCORES)) == [Written(root / PAGE)]
    assert re.sub(r"\|.*\|\n", "", (root / PAGE).read_text()) == PAGE_TEXT


def test_a_figure_has_its_text_as_text_and_no_date(root: Path) -> None:
    text = (root / SVG).read_text()
    assert ">IoU of ours</text>" in text
    assert "<dc:date>" not in text
    assert text.encode() == draw_svg(dots, root / "docs/results")


TABLE = "docs/page.md: table 'scores' is not what scores.json gives"
FIGURE, ENTRIES = "docs/images/dots.svg: ", "docs/results/"
LINKS = "[Before](results/README.md#trail), [after](results/README.md#trial)."
NETWORK = "scores.json: runs.toml has the network ba9876543210, the file 0123456789ab"
UNKNOWN = ["docs/page.md: no function makes the table 'other'", "table 'scores' is in no document"]
END = '"0123456789ab" }\n'
TWIN = RUNS_TEXT.partition("\n")[2].replace("trial", "twin")
MORE = RUNS_TEXT.partition("[trial.files]")[0].partition("\n")[2].replace("trial", "more")


@pytest.mark.parametrize(
    ("file", "before", "after", "messages"),
    [
        (PAGE, ".500", ".501", [TABLE]),
        (RESULT, "0.5", "0.6", [TABLE, FIGURE + "was drawn from another scores.json"]),
        (SVG, "test_build_docs.py=", "test_build_docs.py=0", [FIGURE + "was drawn from another test_build_docs.py"]),
        (SVG, "style=", "style=0", [FIGURE + "was drawn from another style"]),
        (PAGE, "(images/dots.svg)", "(dots)", [FIGURE + "no document shows it"]),
        (PAGE, "made: scores", "made: other", UNKNOWN),
        (PAGE, "Before.", LINKS, ["docs/page.md: links to the run 'trail', which runs.toml does not have"]),
        (RUNS, END, END + MORE, [ENTRIES + "runs.toml: the run 'more' has no result file, and no document links"]),
        (RUNS, END, END + TWIN, [ENTRIES + "scores.json: has two entries in runs.toml"]),
        (RUNS, '"0123456789ab"', '"ba9876543210"', [ENTRIES + NETWORK]),
        (RUNS, "seed = 1", "seed = 2", [ENTRIES + "scores.json: runs.toml has seed 2, config.json 1"]),
        (RUNS, 'data = "none"\n', "", [ENTRIES + "runs.toml: trial.data: Field required"]),
        (RUNS, "data =", "date = 1\ndata =", [ENTRIES + "runs.toml: trial.date: Extra inputs are not permitted"]),
        (RUNS, 'machine = "a machine"', "", [ENTRIES + "runs.toml: expected the key 'machine'"]),
        (RUNS, "[trial]", "[trial", [ENTRIES + "runs.toml: "]),
    ],
)
def test_stale_parts_are_named(root: Path, file: str, before: str, after: str, messages: list[str]) -> None:
    edit(root / file, before, after)
    assert_problems(root, messages)


def assert_problems(root: Path, messages: list[str]) -> None:
    lines = find_problems(root, SCORES, DOTS)
    assert len(lines) == len(messages), lines
    assert all(line.startswith(start) for line, start in zip(lines, messages, strict=True)), lines


def test_missing_and_unknown_files_are_named(root: Path) -> None:
    renamed = (root / SVG).rename(root / "docs/images/old.svg")
    assert_problems(root, [FIGURE + "was never drawn", "docs/images/old.svg: no function draws it"])
    renamed.rename(root / SVG)
    renamed = (root / "docs/results/config.json").rename(root / "docs/results/new.json")
    unknown = ["new.json: has no entry in runs.toml", "config.json: runs.toml names it, and it is missing"]
    assert_problems(root, [ENTRIES + line for line in unknown])
    renamed.rename(root / "docs/results/config.json")
    (root / RESULT).unlink()
    missing = "docs/page.md: expected the result file docs/results/scores.json, which is missing"
    changed = FIGURE + "was drawn from another scores.json"
    assert_problems(root, [missing, changed, ENTRIES + "scores.json: runs.toml names it, and it is missing"])


def test_an_unused_result_is_named_until_a_document_links_to_it(root: Path) -> None:
    (root / "docs/results/more.json").write_text("{}")
    with (root / RUNS).open("a") as file:
        file.write('"more.json" = { is = "more" }\n')
    assert find_problems(root, SCORES, DOTS) == ["docs/results/more.json: no table, figure or document uses it"]
    edit(root / PAGE, "Before.", "Before ([run](results/README.md#more)).")
    assert find_problems(root, SCORES, DOTS) == []


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
    edit(root / PAGE, before, after)
    edit(root / RESULT, "0.5", "0.6")
    damaged = (root / PAGE).read_text()
    assert any(line.startswith("docs/page.md: expected a line '<!-- made") for line in find_problems(root, SCORES, {}))
    (written,) = write_documents(root, SCORES)
    assert written.problem.startswith("expected a line")
    assert (root / PAGE).read_text() == damaged


def test_exit_codes_of_the_command(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("TABLES", SCORES), ("FIGURES", DOTS), ("ROOT", root)):
        monkeypatch.setattr(command, name, value)
    assert command.main(["--check"]) == 0
    edit(root / RESULT, "0.5", "0.6")
    assert command.main(["--check"]) == command.STALE
    assert capsys.readouterr().out.count("\n") == 2
    assert command.main([]) == 0
    assert capsys.readouterr().out == "docs/page.md\ndocs/images/dots.svg\n"
    (root / RESULT).unlink()
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
    for name, photos in zip(ERRORS[:2], ("abc", "ab"), strict=True):
        (tmp_path / name).write_text(json.dumps(content | {"photos": dict.fromkeys(photos)}))
    rows, of_worst_only = (error_causes(Results(tmp_path), name).splitlines() for name in ERRORS[:2])
    assert rows[2:] == [
        "| rug | 2 | .0300 |  |  | .0100 | 50% |",
        "| these 2 photos | 2 | .0300 |  |  | .0200 | 50% of all |",
        "| all 3 photos |  | .0600 | .0600 |  | .0400 |  |",
    ]
    assert of_worst_only[3:] == ["| these 2 photos | 2 | .0300 |  |  | .0200 |  |"]


# The tables, figures and results of this repository


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return list(read_runs(Results(ROOT / RESULTS)).values())


def test_nothing_is_stale() -> None:
    assert find_problems(ROOT, TABLES, FIGURES) == []


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_drawn_again_is_the_same(name: str) -> None:
    kept = (ROOT / IMAGES / f"{name}.svg").read_bytes()
    made_with = re.search(rb"Matplotlib v([\d.]+)", kept)
    if made_with and made_with[1].decode() != matplotlib.__version__:
        pytest.skip(f"drawn with matplotlib {made_with[1].decode()}; another version places lines otherwise")
    assert draw_svg(FIGURES[name], ROOT / RESULTS) == kept


def test_commits_of_runs_are_in_the_history(runs: list[Run]) -> None:
    shallow = git("rev-parse", "--is-shallow-repository")
    if shallow is None or shallow == "true":
        pytest.skip("expected the whole git history; this is a shallow clone, a tarball, or git is missing")
    text = " ".join(f"{run.commit} {run.commit_note} {run.archived}" for run in runs)
    named = set(re.findall(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7}\b", text))
    assert {run.commit for run in runs} <= named
    assert [commit for commit in sorted(named) if git("cat-file", "-e", f"{commit}^{{commit}}") is None] == []


def git(*arguments: str) -> str | None:
    """Output of git; None where it fails."""
    try:
        done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def test_shipped_results_are_of_the_shipped_network(runs: list[Run]) -> None:
    shipped = tomllib.loads((ROOT / "models/weights/shipped.toml").read_text())["onnx"]["sha256"]
    networks = {name: file.network for run in runs for name, file in run.files.items()}
    assert networks["shipped-rooms.json"] == networks["shipped-nyuv2-val.json"] == shipped[:12]


def test_data_of_evaluations_are_what_their_names_say() -> None:
    expected = {"*-rooms.json": (["tests/data/rooms"], "all", 18), "*-nyuv2-val.json": (["$DATA/nyuv2"], "val", 143)}
    for pattern, wanted in expected.items():
        reports = {path.name: json.loads(path.read_text()) for path in (ROOT / RESULTS).glob(pattern)}
        evaluated = {name: report["data"] for name, report in reports.items() if "min_score" in report}
        assert evaluated
        for name, data in evaluated.items():
            assert (data["paths"], data["split"], data["photos"]) == wanted, name


@pytest.mark.parametrize("path", sorted((ROOT / RESULTS).glob("*")), ids=lambda path: path.name)
def test_results_name_no_paths_of_a_machine(path: Path) -> None:
    assert re.findall(r"(?:/work|/tmp|/home|/root|/mnt|[A-Z]:\\)\S*", path.read_text()) == []
