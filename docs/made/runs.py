"""docs/results/runs.toml: which command, settings, data and code made each result file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.made.entries import MadeError

RUNS = "runs.toml"


@dataclass(frozen=True)
class ResultFile:
    """A result file of an experiment.

    Attributes:
        name: in docs/results.
        what: what it is, in a few words.
        config: the training's settings, a file of docs/results; empty where nothing was trained.
        seed: of the training; None where there is none, or the file holds several.
        network: first 12 hex digits of the SHA-256 of the network that was scored; empty where there is none.
    """

    name: str
    what: str
    config: str
    seed: int | None
    network: str

    @property
    def stem(self) -> str:
        """Its name without the suffix, its anchor in docs/results/README.md."""
        return self.name.removesuffix(".json")


@dataclass(frozen=True)
class Run:
    """An experiment, and the result files that came of it.

    Attributes:
        name: its anchor in docs/results/README.md.
        title: a headline.
        shows: what it is about.
        commands: what was typed, a line each.
        data: what was learnt from and scored on.
        commit: the code that made it, an abbreviated hash.
        commit_note: how surely that is known.
        machine: processor, memory, versions.
        files: at least one.
    """

    name: str
    title: str
    shows: str
    commands: str
    data: str
    commit: str
    commit_note: str
    machine: str
    files: tuple[ResultFile, ...]


def read_runs(results: Path) -> list[Run]:
    """All experiments, in the file's order.

    Raises:
        MadeError: the file is missing, is not TOML, or an entry lacks a key or has one too many.
    """
    try:
        entries = tomllib.loads((results / RUNS).read_text(encoding="utf-8"))
        machine = entries.pop("machine")
        return [_run(name, {"machine": machine, **entry}) for name, entry in entries.items()]
    except FileNotFoundError as error:
        raise MadeError(f"expected docs/results/{RUNS}, which is missing") from error
    except KeyError as error:
        raise MadeError(f"docs/results/{RUNS}: expected the key {error}") from error
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise MadeError(f"docs/results/{RUNS}: {error}") from error


def runs_problems(results: Path) -> list[str]:
    """What result files and `runs.toml` say otherwise of each other, one line each.

    Raises:
        MadeError: as `read_runs`.
    """
    files = [file for run in read_runs(results) for file in run.files]
    entered = {file.name for file in files} | {file.config for file in files if file.config}
    there = {path.name for path in results.glob("*.json")}
    listed = [file.name for file in files]
    return [
        *(f"{name}: has no entry in {RUNS}" for name in sorted(there - entered)),
        *(f"{name}: {RUNS} names it, and it is missing" for name in sorted(entered - there)),
        *(f"{name}: has two entries in {RUNS}" for name in sorted({n for n in listed if listed.count(n) > 1})),
        *(line for file in files if file.name in there for line in _file_problems(results, file)),
    ]


def _file_problems(results: Path, file: ResultFile) -> list[str]:
    result = json.loads((results / file.name).read_text(encoding="utf-8"))
    model = result.get("model", {}) if isinstance(result, dict) else {}
    network = str(model.get("sha256", ""))[:12] if isinstance(model, dict) else ""
    lines = []
    if network != file.network:
        lines.append(f"{file.name}: {RUNS} says the network {file.network or 'none'}, the file {network or 'none'}")
    if file.config and (results / file.config).is_file():
        seed = json.loads((results / file.config).read_text(encoding="utf-8"))["seed"]
        if seed != file.seed:
            lines.append(f"{file.name}: {RUNS} says seed {file.seed}, {file.config} {seed}")
    return lines


def _run(name: str, entry: Mapping[str, Any]) -> Run:
    given = dict(entry)
    files = tuple(_result_file(file, facts) for file, facts in given.pop("files").items())
    return Run(name=name, files=files, **given)


def _result_file(name: str, facts: Mapping[str, Any]) -> ResultFile:
    given = {"config": "", "seed": None, "network": "", **facts}
    return ResultFile(name=name, what=given.pop("is"), **given)
