"""Every command in the documents is one that the parsers, the Makefile and pyproject.toml take. Nothing is run."""

from __future__ import annotations

import importlib
import io
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

import autolabel.__main__
import distill.__main__
import labelstudio.__main__
import segment
from interior_surfaces import recolor, serve
from tests.docs.markdown import blocks, spans
from tools.build_docs.documents import documents

ROOT = Path(__file__).resolve().parents[2]
PAGES = [path.relative_to(ROOT) for path in documents(ROOT)]
PACKAGES = {"autolabel": autolabel.__main__, "distill": distill.__main__, "labelstudio": labelstudio.__main__}
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
TARGETS = set(re.findall(r"^([a-z][\w-]*)\s*:(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

PYTHON = re.compile(r"(?:\S*/)?python3?(?:\.exe)?$")
# Inline code that only names a command, or is none.
NAME = re.compile(r"\S+|python segment\.py|python -m (autolabel|distill|labelstudio)( [a-z]+)?|interior-surfaces \w+")
LOOP_VARIABLE = re.compile(r"\$[a-z]\w*")
# Of the commits that some results were made with; the documents name these commits beside it.
FORMER_OPTION = "--unlabelled"
SHELL_LANGUAGES = ("", "sh", "bash", "console", "powershell")


def faults(document: str) -> Iterator[str]:
    """One line for each command of a document, in fenced blocks and inline code, that the repository would refuse."""
    for line, command in commands(document):
        fault = fault_of(command)
        if fault:
            yield f"line {line}: `{command}`: {fault}"


def commands(document: str) -> Iterator[tuple[int, str]]:
    """Line and text of each command."""
    for block in blocks(document):
        if block.language in SHELL_LANGUAGES:
            joined = re.sub(r"\\\n", lambda _: "  ", block.text)
            for number, line in enumerate(joined.splitlines()):
                yield from ((block.line + number, command) for command in simple_commands(line))
    for number, span in spans(document):
        if not NAME.fullmatch(span):
            yield from ((number, command) for command in simple_commands(span))


def simple_commands(line: str) -> Iterator[str]:
    """The commands of a shell line, without its comment, prompts and variables before them."""
    lexer = shlex.shlex(line, posix=False, punctuation_chars="|&;")
    lexer.commenters, lexer.whitespace_split = "#", True
    words: list[str] = []
    try:
        tokens = list(lexer)
    except ValueError:
        tokens = line.split()
    for token in [*tokens, ";"]:
        if set(token) <= set("|&;"):
            while words and (re.match(r"\w+=", words[0]) or words[0] in ("do", "$", "time")):
                words.pop(0)
            if words:
                yield " ".join(words)
            words = []
        else:
            words.append(token)


def fault_of(command: str) -> str | None:
    """Why a command would be refused; None if it would not, and for commands that are not this project's."""
    try:
        words = shlex.split(LOOP_VARIABLE.sub("1", command))
    except ValueError:  # an unfinished quote: an error message, no command
        return None
    redirections = [index for index, word in enumerate(words) if re.match(r"\d?[<>]", word)]
    words = words[: redirections[0]] if redirections else words
    if {FORMER_OPTION, "…", "...", "COMMAND"} & set(words):
        return None
    if words[:1] == ["interior-surfaces"]:
        match words[1:]:
            case ["segment", *rest]:
                words = ["python", "segment.py", *rest]
            case ["recolor", *rest]:
                return refusal(recolor.main, rest, "interior_surfaces.recolor._run")
            case ["serve", *rest]:
                return refusal(serve.main, rest, "interior_surfaces.serve._run")
            case [package, *rest] if package in PACKAGES:
                words = ["python", "-m", package, *rest]
            case [name, *_] if not name.startswith("-"):
                return f"there is no command {name}"
    match words:
        case [python, "-m", tool, *rest] if PYTHON.match(python) and tool.startswith("tools."):
            return tool_fault(tool, rest)
        case [python, "-m", package, *rest] if PYTHON.match(python) and package in PACKAGES:
            module = PACKAGES[package]
            name = getattr(module, "RENAMED", {}).get(rest[0], rest[0]) if rest else ""
            return refusal(module.main, rest, *([f"{package}.commands.{name}.run"] if name in module.COMMANDS else []))
        case [python, "segment.py", *rest] if PYTHON.match(python):
            return refusal(segment.main, rest, "segment._run")
        case ["make", *targets]:
            unknown = [target for target in targets if target not in TARGETS and "=" not in target]
            return f"the Makefile has no target {unknown[0]}" if unknown else None
        case _ if {"install", "download", "wheel"} & set(words):  # pip install -e '.[train]' and the like
            found = [re.fullmatch(r"(?:\.|\S*interior-surfaces)\[([\w, ]+)\]", word) for word in words]
            unknown = [extra for match in found if match for extra in re.split(", *", match[1]) if extra not in EXTRAS]
            return f"pyproject.toml has no extra {unknown[0]}" if unknown else None
    return None


def tool_fault(tool: str, rest: Sequence[str]) -> str | None:
    try:
        module = importlib.import_module(tool)
        module = module if hasattr(module, "main") else importlib.import_module(f"{tool}.__main__")
    except ModuleNotFoundError:
        return f"there is no tool {tool.removeprefix('tools.')}"
    return refusal(module.main, rest, f"{module.__name__}.run")


def refusal(main: Callable[[list[str]], object], arguments: Sequence[str], *never_run: str) -> str | None:
    """The last line with which the command refuses its arguments; what it would do with them is not done."""
    errors = io.StringIO()
    with ExitStack() as stack:
        for name in never_run:
            stack.enter_context(patch(name, return_value=0))
        stack.enter_context(redirect_stderr(errors))
        stack.enter_context(redirect_stdout(io.StringIO()))
        try:
            main(list(arguments))
        except SystemExit as stopped:
            return errors.getvalue().strip().splitlines()[-1] if stopped.code else None
    return None


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_is_taken(page: Path) -> None:
    assert list(faults((ROOT / page).read_text("utf-8"))) == []


def test_there_are_many() -> None:
    shown = [command for page in PAGES for _, command in commands((ROOT / page).read_text("utf-8"))]
    assert len([command for command in shown if "python -m " in command or "segment.py" in command]) > 60


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("python segment.py --uri a.jpg", "unrecognized arguments: --uri"),
        ("python segment.py --json", "expected photos, as arguments or after --url"),
        (
            "interior-surfaces segment a.jpg --sav masks,txt",
            "cutout, coco, report; got 'txt'",
        ),
        ("interior-surfaces distill pack a", "the following arguments are required: --out"),
        ("interior-surfaces recolor a.jpg --surface wall --color nocolour", "expected a colour such as '#8fa3ad'"),
        ("interior-surfaces paint a.jpg", "there is no command paint"),
        ("python segment.py --url a.jpg --classes wall,roof", "expected some of wall, floor, dining table; got 'roof'"),
        ("python -m autolabel run photos/ --out labels/ --techer student", "unrecognized arguments: --techer"),
        ("cat a | python -m autolabel export labels/ --format xml --out x", "invalid choice: 'xml'"),
        ("python -m autolabel label photos/", "invalid choice: 'label'"),
        ("python -m distill evaluate --split val", "the following arguments are required: DATA"),
        ("python -m distill worst DATA --cuases x", "unrecognized arguments: --cuases"),
        ("OMP_NUM_THREADS=1 .venv/bin/python -m distill pack a", "the following arguments are required: --out"),
        ("python -m labelstudio up --photo", "expected one argument"),
        ("python -m tools.build_docs --chek", "unrecognized arguments: --chek"),
        ("python -m tools.resolution_bound", "the following arguments are required: DATA"),
        ("python -m tools.no_such_tool", "no tool no_such_tool"),
        ("make tests", "the Makefile has no target tests"),
        ("pip install -e '.[trian]'", "pyproject.toml has no extra trian"),
        ("uv pip install -e '.[train,wab]'", "pyproject.toml has no extra wab"),
    ],
)
@pytest.mark.parametrize("form", ["```\n{}\n```\n", "```\n{}   # so\n```\n", "Type `{}` and wait.\n"])
def test_a_wrong_command_is_reported(form: str, command: str, message: str) -> None:
    (fault,) = faults("# A page\n\n" + form.format(command))
    assert fault.startswith(f"line {4 if form.startswith('`') else 3}: ")
    assert message in fault


@pytest.mark.parametrize(
    "text",
    [
        "```\npython -m distill train --data A B \\\n    --init $W/x.npz --budget 2h --run runs/x   # comment\n```\n",
        "```\nfor s in 0 1; do\n  python -m distill evaluate DATA --weights a-$s.onnx > out.txt\ndone\n```\n",
        "```json\npython segment.py --nothing\n```\n",
        "`python -m autolabel …`, `python -m distill COMMAND`, `make`, `pip install -e '.[dev]'`",
    ],
)
def test_right_commands_and_other_text(text: str) -> None:
    assert list(faults(text)) == []


def test_commands_of_the_workflow_would_run() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert sum(line.startswith("interior-surfaces") for line in lines) >= 3
    assert [fault for line in lines for fault in [fault_of(line)] if fault] == []
    versions = jobs["first-steps"]["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13"]
