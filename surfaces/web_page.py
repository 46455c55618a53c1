"""Pages to look at: one HTML file and the pictures beside it, which need no network. They follow the reader's choice of
light or dark."""

from __future__ import annotations

import html

PAGE_NAME = "index.html"

_STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#222, #ddd); --faint: light-dark(#666, #999);
  --paper: light-dark(#fff, #1b1b1b); --card: light-dark(#f4f4f4, #262626); --line: light-dark(#ddd, #3a3a3a); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1460px; padding: 0 1rem;
  color: var(--ink); background: var(--paper); }
h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; }
pre { background: var(--card); padding: 1rem; overflow-x: auto; }
figure { margin: 0 0 1.5rem; }
img { width: 100%; height: auto; }
figcaption { color: var(--faint); }
"""


def html_document(title: str, body: str, style: str = "") -> str:
    """A whole page.

    Args:
        title: plain text; of the window and the first heading.
        body: HTML, below the heading.
        style: CSS that is added to that of all pages.
    """
    escaped = html.escape(title)
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escaped}</title>
<style>{_STYLE}{style}</style>
<h1>{escaped}</h1>
{body}
</html>
"""
