"""MkDocs hooks: the repository's own pages join those of docs/, and links fit both places."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    **{name: name for name in ("MODEL_CARD.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")},
    "THIRD_PARTY_NOTICES.md": "THIRD_PARTY_NOTICES.md",
}
"""Pages beside docs/, by their path in the repository: their path on the site."""

_LINK = re.compile(r"(!?)\[([^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages beside docs/."""
    for source, target in PAGES.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrites a page's links."""
    by_target = {target: source for source, target in PAGES.items()}
    source = by_target.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else rewrite_links(part, source) for part in parts)


def rewrite_links(text: str, source: str) -> str:
    """Links of a page (its path in the repository) as they are on the site; what is not on the site is no link."""
    here = posixpath.dirname(site_path(source) or source)

    def rewrite(match: re.Match[str]) -> str:
        picture, words, link, anchor = match.groups()
        target = site_path(posixpath.normpath(posixpath.join(posixpath.dirname(source), link)))
        if target is None:
            return f"{words}"
        return f"{picture}[{words}]({posixpath.relpath(target, here or '.')}{anchor or ''})"

    return _LINK.sub(rewrite, text)


def site_path(path: str) -> str | None:
    """The place on the site of a file of the repository; None where it has none."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/") and path != "docs/README.md":
        return path.removeprefix("docs/")
    return None
