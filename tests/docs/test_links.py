"""Links of the documents lead somewhere: files, headings, well-formed addresses. Nothing is asked of a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs.made.documents import documents
from tests.docs.markdown import anchors, links

ROOT = Path(__file__).resolve().parents[2]


def broken_links(root: Path) -> Iterator[str]:
    """One line for each link of a repository's documents that leads nowhere."""
    known = {path: anchors(path.read_text("utf-8")) for path in documents(root)}
    for path in known:
        for line, target in links(path.read_text("utf-8")):
            if fault := _fault(root, path, target, known):
                yield f"{path.relative_to(root)}:{line}: {target}: {fault}"


def _fault(root: Path, document: Path, target: str, known: dict[Path, set[str]]) -> str | None:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        good = parts.scheme in ("http", "https") and "." in (parts.hostname or "")
        return None if good else "no http or https address"
    path = (document.parent / unquote(parts.path)).resolve() if parts.path else document
    if not path.is_relative_to(root):
        return "leads out of the repository"
    if not path.exists():
        return "no such file"
    if parts.fragment and parts.fragment not in known.get(path, set()):
        return "no such heading"
    return None


def test_every_link_leads_somewhere() -> None:
    assert list(broken_links(ROOT)) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[a](missing.md)", "README.md:1: missing.md: no such file"),
        ("x\n\n![a](docs/none.png)", "README.md:3: docs/none.png: no such file"),
        ("[a](#second)", "README.md:1: #second: no such heading"),
        ("[a](docs/b.md#Tall)", "README.md:1: docs/b.md#Tall: no such heading"),
        ("[a](../outside.md)", "README.md:1: ../outside.md: leads out of the repository"),
        ("[a](ftp://example.com/x)", "README.md:1: ftp://example.com/x: no http or https address"),
        ("[a](https://nowhere)", "README.md:1: https://nowhere: no http or https address"),
        ("[![p](none.png)](docs/b.md)", "README.md:1: none.png: no such file"),
    ],
)
def test_a_broken_link_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/b.md").write_text("# Tall `trees`, and *others*\n", "utf-8")
    (tmp_path / "README.md").write_text(text, "utf-8")
    assert list(broken_links(tmp_path)) == [told]


def test_good_links_and_what_only_looks_like_one(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/b.md").write_text("# Tall `trees`, and *others*\n## Twice\n## Twice\n", "utf-8")
    (tmp_path / "README.md").write_text(
        "[a](docs/b.md#tall-trees-and-others) [b](docs/b.md#twice-1) [c](docs) [d](#own) `[e](none)`\n"
        '<a id="own"></a>\n```\n[f](none)\n# [no heading](x)\n```\n[g](https://example.com/a?b#c)\n',
        "utf-8",
    )
    assert list(broken_links(tmp_path)) == []
