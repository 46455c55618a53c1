"""The repository's own tables, figures and results: none is stale, each names the run that made it."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import matplotlib
import pytest

from tools.build_docs.documents import IMAGES, draw_svg, find_problems
from tools.build_docs.figures import FIGURES
from tools.build_docs.results import RESULTS, Results
from tools.build_docs.runs import Run, read_runs
from tools.build_docs.tables import TABLES

ROOT = Path(__file__).resolve().parents[2]


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
    named = {commit for run in runs for commit in commits(f"{run.commit} {run.commit_note} {run.archived}")}
    assert {run.commit for run in runs} <= named
    assert [commit for commit in sorted(named) if git("cat-file", "-e", f"{commit}^{{commit}}") is None] == []


def commits(text: str) -> list[str]:
    return re.findall(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7}\b", text)


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
