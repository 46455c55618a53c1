"""Instructions for annotators: the classes, and Label Studio's tools."""

from __future__ import annotations

import html
import re

CLASSES_GUIDE = """\
One page for whoever labels, reviews or judges masks. Where it does not answer, prefer what an architect would call it.

**Wall.** The painted, papered, tiled or panelled surface that encloses a room, with its skirting, mouldings and
backsplash. Not: doors, windows and their casings, curtains, pictures, cabinets, mirrors, ceilings. A window is a hole
in the wall's mask.

**Floor.** What one walks on. Not: stairs, and not a rug: a rug is a hole in the floor's mask.

**Dining table.** A table at which people eat, its legs and its tablecloth included, the things on it excluded. Not:
coffee, side and console tables, desks, counters, kitchen islands.

A photo has at most one wall region and one floor region; their parts may be apart, their holes stay holes. Each dining
table is a region of its own, also where chairs cut it in parts.
"""
"""Word for word from docs/labelling.md, which a test checks."""

TOOLS_GUIDE = """\
**Begin** with what is drawn already. If it is right, submit it as it is. If not, choose a region in the list, then
brush (b) or erase (e). Before you draw another region let go of the chosen one (u): a label's key renames it. Keys 1,
2, 3 are wall, floor and dining table, 5 draws a table as a polygon. Empty is an answer too: a photo without any of the
three is submitted with no region.

**Unsure places.** What nobody can tell from the photo is brushed as unsure (key 4); nothing is learnt there.

**Unsure photos.** If you cannot judge the photo as a whole, choose unsure beside it. If it is no photo of an interior,
or a collage, choose reject. Say why in a comment where that helps.

**Overlaps.** Where two regions overlap, what you added wins over what was drawn already, and a table over wall and
floor.
"""


def instructions_html() -> str:
    """Both guides as HTML, in the few tags that Label Studio keeps."""
    paragraphs = html.escape(f"{CLASSES_GUIDE}\n{TOOLS_GUIDE}", quote=False).strip().split("\n\n")
    # Label Studio leaves no space between paragraphs, and drops attributes such as style.
    text = "\n<br>\n".join(f"<p>{' '.join(paragraph.split())}</p>" for paragraph in paragraphs)
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
