"""All generated tables and figures, by name.

A name is what documents write between the marks, or the SVG file's stem in docs/images.
"""

from __future__ import annotations

from docs.made.entries import Figure, Table
from docs.made.runs_tables import runs_list

TABLES: dict[str, Table] = {
    "runs": Table(runs_list, ("runs.toml",)),
}

FIGURES: dict[str, Figure] = {}
