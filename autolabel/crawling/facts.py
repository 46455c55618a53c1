"""What the judge learnt of a photo's bytes: a flat record that outlives the photo."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Facts:
    """What was measured. Looking stops at the first thing that rules a photo out, so later measures may be missing.

    Attributes:
        sha256: of the bytes, hexadecimal.
        size: how many bytes there are.
        width: in pixels, upright; 0 where the photo can't be read, as is the following.
        height: in pixels, upright.
        unreadable: why the photo can't be read, one line; empty where it can.
        near_hash: perceptual hash, hexadecimal (`autolabel.crawling.hashes`); empty where nothing was measured.
        colour: how far the colours depart from those of one tone (`measures.colour_spread`).
        graphic: how much of the picture is drawn rather than photographed, 0 to 1 (`measures.graphic_share`).
        text: share of the picture that lines of text cover, 0 to 1 (`measures.text_share`).
        panels: of how many photos the picture is put together (`panels.count_panels`); 1 for a photo.
        wall: share of the photo that the network believes to be wall, 0 to 1; None where it was not asked, as are the
            following.
        floor: the same of floor.
        table: the same of dining tables.
        thumbnail: a JPEG of the photo, small; empty where it can't be read.
    """

    sha256: str
    size: int
    width: int = 0
    height: int = 0
    unreadable: str = ""
    near_hash: str = ""
    colour: float | None = None
    graphic: float | None = None
    text: float | None = None
    panels: int | None = None
    wall: float | None = None
    floor: float | None = None
    table: float | None = None
    thumbnail: bytes = b""

    def to_json(self) -> str:
        """One line of JSON; what is missing is left out."""
        known = {name: value for name, value in asdict(self).items() if value not in (None, "", b"")}
        if self.thumbnail:
            known["thumbnail"] = base64.b64encode(self.thumbnail).decode("ascii")
        return json.dumps(known, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """The record that `to_json` wrote."""
        known = json.loads(text)
        return cls(**known | {"thumbnail": base64.b64decode(known.get("thumbnail", ""))})
