"""Parses the parts of Markdown that the tests of documents need: fenced blocks, inline code, links, anchors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")
_NESTED = re.compile(r"\[!\[[^\]\n]*\]\([^)\s]+\)\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(?P<title>.+?) *#*$", re.MULTILINE)
_ANCHOR = re.compile(r"<a\s+(?:id|name)=\"(?P<name>[^\"]+)\"")


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is the number of its first line, from 1."""

    language: str
    text: str
    line: int


def blocks(document: str) -> list[Block]:
    return [
        Block(found["language"], found["text"], document.count("\n", 0, found.start("text")) + 1)
        for found in _FENCE.finditer(document)
    ]


def prose(document: str) -> str:
    """The document without its fenced blocks, lines kept."""
    return _FENCE.sub(lambda found: "\n" * found[0].count("\n"), document)


def spans(document: str) -> Iterator[tuple[int, str]]:
    """Line and text of each piece of inline code."""
    text = prose(document)
    for found in _SPAN.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, found[1]


def links(document: str) -> Iterator[tuple[int, str]]:
    """Line and target of each link and picture; what stands in code is none."""
    text = _SPAN.sub("code", prose(document))
    for pattern in (_LINK, _NESTED):
        for found in pattern.finditer(text):
            yield text.count("\n", 0, found.start()) + 1, found["target"]


def anchors(document: str) -> set[str]:
    """The fragments that GitHub gives a document's headings, and those that it names itself."""
    named = {found["name"] for found in _ANCHOR.finditer(prose(document))}
    count = Counter[str]()
    for found in _HEADING.finditer(prose(document)):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", found["title"])
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        named.add(f"{slug}-{count[slug]}" if count[slug] else slug)
        count[slug] += 1
    return named
