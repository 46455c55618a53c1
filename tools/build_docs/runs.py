"""docs/results/runs.toml: command, data, code and settings of each result file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tools.build_docs.results import RESULTS, DocsError, Results, markdown_table

RUNS = "runs.toml"


class ResultFile(BaseModel):
    """A result file; runs.toml explains the keys."""

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


def find_run_problems(folder: Path) -> Iterator[str]:
    """Contradictions between the result files and runs.toml, one line each."""
    files = [item for run in read_runs(Results(folder)).values() for item in run.files.items()]
    names = [name for name, _ in files]
    entered = {*names, *(file.config for _, file in files if file.config)}
    existing = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    yield from (f"{name}: has no entry in {RUNS}" for name in existing if name not in entered)
    yield from (f"{name}: {RUNS} names it, and it is missing" for name in sorted(entered - set(existing)))
    yield from (f"{name}: has two entries in {RUNS}" for name in sorted({n for n in names if names.count(n) > 1}))
    for name, file in files:
        content = existing.get(name)
        model = content.get("model") if isinstance(content, dict) else None
        network = model["sha256"][:12] if isinstance(model, dict) else ""
        if content is not None and network != file.network:
            yield f"{name}: {RUNS} has the network {file.network or 'none'}, the file {network or 'none'}"
        if file.config in existing and (seed := existing[file.config]["seed"]) != file.seed:
            yield f"{name}: {RUNS} has seed {file.seed}, {file.config} {seed}"


def list_runs(results: Results) -> str:
    """A row for each experiment, with an anchor; runs.toml has the rest."""
    machine = tomllib.loads(results.read_text(RUNS))["machine"]
    runs = read_runs(results).items()
    rows = [[f'<a id="{name}"></a>{name}', run.title, f"`{run.commit}`"] for name, run in runs]
    return f"Machine: {machine}.\n\n{markdown_table(['run', 'about', 'commit'], rows)}"
