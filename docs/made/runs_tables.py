"""docs/results/README.md: every experiment with its commands, data, code and result files."""

from __future__ import annotations

from pathlib import Path

from docs.made.formats import markdown_table
from docs.made.runs import ResultFile, Run, read_runs


def runs_list(results: Path) -> str:
    """A section for each experiment, under a heading that is its anchor."""
    return "\n".join(_section(run) for run in read_runs(results))


def _section(run: Run) -> str:
    header = ["file", "what", "settings", "seed", "network"]
    lines = [
        f"## {run.name}",
        f"**{run.title}.** {run.shows}",
        f"```\n{run.commands.strip()}\n```",
        f"- Data: {run.data}.\n- Code: `{run.commit}`, {run.commit_note}.\n- Machine: {run.machine}.",
        markdown_table(header, [_row(file) for file in run.files]),
    ]
    return "\n\n".join(lines) + "\n"


def _row(file: ResultFile) -> list[str]:
    return [
        f'<a id="{file.stem}"></a>[{file.stem}]({file.name})',
        file.what,
        f"[settings]({file.config})" if file.config else "",
        "" if file.seed is None else str(file.seed),
        f"`{file.network}`" if file.network else "",
    ]
