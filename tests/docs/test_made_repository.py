"""The repository's own tables, figures and results: none is stale, each can be followed to the run that made it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import matplotlib
import pytest

from docs.made.catalogue import FIGURES, TABLES
from docs.made.check import IMAGES, RESULTS, stale
from docs.made.drawings import draw_svg
from docs.made.runs import ResultFile, Run, read_runs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def experiments() -> list[Run]:
    return read_runs(ROOT / RESULTS)


@pytest.fixture(scope="module")
def files(experiments: list[Run]) -> list[ResultFile]:
    return [file for run in experiments for file in run.files]


def test_nothing_is_stale() -> None:
    assert stale(ROOT, TABLES, FIGURES) == []


@pytest.mark.parametrize("name", [name for name, table in TABLES.items() if table.results])
def test_a_table_reads_no_more_than_it_says(name: str, tmp_path: Path) -> None:
    for file in TABLES[name].results:
        shutil.copy(ROOT / RESULTS / file, tmp_path)
    assert TABLES[name].make(tmp_path) == TABLES[name].make(ROOT / RESULTS)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_drawn_again_is_the_same(name: str, tmp_path: Path) -> None:
    kept = (ROOT / IMAGES / f"{name}.svg").read_bytes()
    made_with = re.search(rb"Matplotlib v([\d.]+)", kept)
    if made_with and made_with[1].decode() != matplotlib.__version__:
        pytest.skip(f"drawn with matplotlib {made_with[1].decode()}; another version places lines otherwise")
    for file in FIGURES[name].results:
        shutil.copy(ROOT / RESULTS / file, tmp_path)
    assert draw_svg(FIGURES[name], tmp_path) == kept


def test_commits_of_runs_are_in_the_history(experiments: list[Run]) -> None:
    shallow = git("rev-parse", "--is-shallow-repository")
    if shallow is None or shallow == "true":
        pytest.skip("expected the whole git history; this is a shallow clone, a tarball, or git is missing")
    told = {commit for run in experiments for commit in commits(f"{run.commit} {run.commit_note}")}
    assert {run.commit for run in experiments} <= told
    assert [commit for commit in sorted(told) if git("cat-file", "-e", f"{commit}^{{commit}}") is None] == []


def commits(text: str) -> list[str]:
    return re.findall(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7}\b", text)


def git(*arguments: str) -> str | None:
    """What git says; None where it fails."""
    try:
        done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def test_shipped_results_are_of_the_shipped_network(files: list[ResultFile]) -> None:
    shipped = tomllib.loads((ROOT / "models/weights/shipped.toml").read_text())["onnx"]["sha256"]
    told = {file.name: file.network for file in files if file.name in ("shipped-rooms.json", "shipped-nyuv2-val.json")}
    assert told == dict.fromkeys(("shipped-rooms.json", "shipped-nyuv2-val.json"), shipped[:12])


def test_data_of_evaluations_are_what_their_names_say() -> None:
    expected = {"*-rooms.json": (["tests/data/rooms"], "all", 18), "*-nyuv2-val.json": (["$DATA/nyuv2"], "val", 143)}
    for pattern, told in expected.items():
        reports = {path.name: json.loads(path.read_text()) for path in (ROOT / RESULTS).glob(pattern)}
        evaluated = {name: report["data"] for name, report in reports.items() if "min_score" in report}
        assert evaluated
        for name, data in evaluated.items():
            assert (data["paths"], data["split"], data["photos"]) == told, name


@pytest.mark.parametrize("path", sorted((ROOT / RESULTS).glob("*")), ids=lambda path: path.name)
def test_results_name_no_paths_of_a_machine(path: Path) -> None:
    assert re.findall(r"(?:/work|/tmp|/home|/root|/mnt|[A-Z]:\\)\S*", path.read_text()) == []
