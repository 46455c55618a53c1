"""docs/results/runs.toml: command, data, code and settings of each result file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tools.build_docs.results import RESULTS, DocsError, Results

RUNS = "runs.toml"


class ResultFile(BaseModel):
    """A result file.

    Attributes:
        description: in a few words.
        config: the training's settings, a file of docs/results; empty where nothing was trained.
        seed: of the training; None where there is none, or where the file holds several.
        network: first 12 hex digits of the SHA-256 of the scored network; empty where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = Field(alias="is")
    config: str = ""
    seed: int | None = None
    network: str = ""


class Run(BaseModel):
    """An experiment; runs.toml explains the keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    shows: str
    commands: str
    data: str
    commit: str
    commit_note: str
    machine: str = ""
    archived: str = ""
    files: dict[str, ResultFile] = {}


_RUNS = TypeAdapter(dict[str, Run])


def read_runs(results: Results) -> dict[str, Run]:
    """All experiments by their names; DocsError where the file is missing or invalid."""
    try:
        content = tomllib.loads(results.read_text(RUNS))
        content.pop("machine")
        return _RUNS.validate_python(content)
    except KeyError as error:
        raise DocsError(f"{RESULTS / RUNS}: expected the key {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise DocsError(f"{RESULTS / RUNS}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DocsError(f"{RESULTS / RUNS}: {place}: {first['msg']}") from error


def find_run_problems(folder: Path) -> list[str]:
    """Contradictions between the result files and runs.toml, one line each."""
    files = [(name, file) for run in read_runs(Results(folder)).values() for name, file in run.files.items()]
    named = [name for name, _ in files]
    entered = {*named, *(file.config for _, file in files if file.config)}
    existing = {path.name for path in folder.glob("*.json")}
    return [
        *(f"{name}: has no entry in {RUNS}" for name in sorted(existing - entered)),
        *(f"{name}: {RUNS} names it, and it is missing" for name in sorted(entered - existing)),
        *(f"{name}: has two entries in {RUNS}" for name in sorted({name for name in named if named.count(name) > 1})),
        *(line for name, file in files if name in existing for line in _find_file_problems(folder, name, file)),
    ]


def _find_file_problems(folder: Path, name: str, file: ResultFile) -> Iterator[str]:
    result = _read_json(folder / name)
    model = result.get("model") if isinstance(result, dict) else None
    network = str(model.get("sha256", ""))[:12] if isinstance(model, dict) else ""
    if network != file.network:
        yield f"{name}: {RUNS} has the network {file.network or 'none'}, the file {network or 'none'}"
    if (
        file.config
        and (folder / file.config).is_file()
        and (seed := _read_json(folder / file.config)["seed"]) != file.seed
    ):
        yield f"{name}: {RUNS} has seed {file.seed}, {file.config} {seed}"


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def list_runs(results: Results) -> str:
    """A section for each experiment; its heading and its files are anchors."""
    machine = tomllib.loads(results.read_text(RUNS))["machine"]
    sections = (_section(name, run) for name, run in read_runs(results).items())
    return "\n".join([f"Machine, where no other is named: {machine}.\n", *sections])


def _section(name: str, run: Run) -> str:
    facts = [f"Data: {run.data}.", f"Code: `{run.commit}`, {run.commit_note}."]
    facts += [f"Machine: {run.machine}."] if run.machine else []
    facts += [f"More result files: docs/results of commit `{run.archived}`."] if run.archived else []
    parts = [
        f"## {name}",
        f"**{run.title}.** {run.shows} {' '.join(facts)}",
        f"```\n{run.commands.strip()}\n```",
        "\n".join(_file_line(file_name, file) for file_name, file in run.files.items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _file_line(name: str, file: ResultFile) -> str:
    stem = name.removesuffix(".json")
    facts = [
        file.description,
        f"seed {file.seed}" if file.seed is not None else "",
        f"network `{file.network}`" if file.network else "",
        f"[settings]({file.config})" if file.config else "",
    ]
    return f'- <a id="{stem}"></a>[{stem}]({name}): {", ".join(fact for fact in facts if fact)}'
