"""Commands that documents show, held against the real parsers, the Makefile and pyproject.toml. Nothing is run."""

from __future__ import annotations

import io
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import autolabel.__main__
import distill.__main__
import docs.made.__main__
import labelstudio.__main__
import segment
from tests.docs.markdown import blocks, spans

_PACKAGES = {"autolabel": autolabel.__main__, "distill": distill.__main__, "labelstudio": labelstudio.__main__}
_MADE = tuple(f"docs.made.__main__.{name}" for name in ("stale", "write_tables", "write_figures"))
_PYTHON = re.compile(r"(?:\S*/)?python3?(?:\.exe)?$")
_NAME = re.compile(r"\S+|python segment\.py|python -m (autolabel|distill|labelstudio)( [a-z]+)?")
"""Inline code that only names a command, or is none."""
_VARIABLE = re.compile(r"\$[a-z]\w*")  # of a loop
_EARLIER = ("--unlabelled",)
"""Options of the commits that some results were made with; the documents name these commits beside them."""
_SHELL = ("", "sh", "bash", "console", "powershell")
_TARGET = re.compile(r"^(?P<name>[a-z][\w-]*)\s*:(?!=)", re.MULTILINE)


def faults(document: str, root: Path) -> Iterator[str]:
    """One line for each command of a document that the repository would refuse.

    Commands are all that stands in fenced blocks without a language, and inline code that begins like one.

    Args:
        document: Markdown.
        root: the repository's folder.
    """
    for line, command in commands(document):
        fault = fault_of(command, root)
        if fault:
            yield f"line {line}: `{command}`: {fault}"


def commands(document: str) -> Iterator[tuple[int, str]]:
    """Line and text of each command."""
    for block in blocks(document):
        if block.language in _SHELL:
            joined = re.sub(r"\\\n", lambda _: "  ", block.text)
            for number, line in enumerate(joined.splitlines()):
                yield from ((block.line + number, command) for command in _simple_commands(line))
    for number, span in spans(document):
        if not _NAME.fullmatch(span):
            yield from ((number, command) for command in _simple_commands(span))


def _simple_commands(line: str) -> Iterator[str]:
    """The commands of a shell line, without its comment, redirections, prompts and variables before them."""
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


def fault_of(command: str, root: Path) -> str | None:
    """What is wrong with a command, or None; None, too, for what is no command of this project."""
    try:
        words = shlex.split(_VARIABLE.sub("1", command))
    except ValueError:  # an unfinished quote: an error message, no command
        return None
    if any(option in words for option in _EARLIER):
        return None
    redirections = [index for index, word in enumerate(words) if re.match(r"\d?[<>]", word)]
    words = words[: redirections[0]] if redirections else words
    if any(word in ("…", "...") or (word.isupper() and word == "COMMAND") for word in words):
        return None
    match words:
        case [python, "-m", "docs.made", *rest] if _PYTHON.match(python):
            return _refusal(docs.made.__main__.main, rest, _MADE)
        case [python, "-m", package, *rest] if _PYTHON.match(python) and package in _PACKAGES:
            return _package_fault(package, rest)
        case [python, "segment.py", *rest] if _PYTHON.match(python):
            return _refusal(segment.main, rest, ("segment._run",))
        case ["make", *targets]:
            known = {found["name"] for found in _TARGET.finditer((root / "Makefile").read_text("utf-8"))}
            unknown = [target for target in targets if target not in known and "=" not in target]
            return f"the Makefile has no target {unknown[0]}" if unknown else None
        case _:
            return _extras_fault(words, root)


def _package_fault(package: str, rest: Sequence[str]) -> str | None:
    module = _PACKAGES[package]
    if rest and rest[0] in module.COMMANDS:
        return _refusal(module.main, rest, (f"{package}.{rest[0]}.run",))
    return _refusal(module.main, rest, ())


def _refusal(main: Callable[[list[str]], object], arguments: Sequence[str], never_run: Sequence[str]) -> str | None:
    """The last line with which the command refuses arguments; what it would do with them is not done."""
    told = io.StringIO()
    with ExitStack() as stack:
        for name in never_run:
            stack.enter_context(patch(name, return_value=[] if name in _MADE else 0))
        stack.enter_context(redirect_stderr(told))
        stack.enter_context(redirect_stdout(io.StringIO()))
        try:
            main(list(arguments))
        except SystemExit as stopped:
            return told.getvalue().strip().splitlines()[-1] if stopped.code else None
    return None


def _extras_fault(words: Sequence[str], root: Path) -> str | None:
    """Of `pip install -e '.[train]'`, `uv pip install …` and the like."""
    if not {"install", "download", "wheel"} & set(words):
        return None
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    for word in words:
        found = re.fullmatch(r"(?:\.|\S*interior-surfaces)\[(?P<extras>[\w, ]+)\]", word)
        for extra in re.split(r", *", found["extras"]) if found else ():
            if extra not in project["optional-dependencies"]:
                return f"pyproject.toml has no extra {extra}"
    return None
