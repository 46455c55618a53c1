"""What the judge learnt of a photo's bytes: a flat record that outlives the photo."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class Facts:
    """What was measured. Looking stops at the first thing that rules a photo out, so later measures may be missing.

    Attributes:
        sha256: of the bytes, hexadecimal.
        size: how many bytes there are.
        width: in pixels, upright; 0 where the photo can't be read, as is the following.
        height: in pixels, upright.
        unreadable: why the photo can't be read, one line; empty where it can.
        thumbnail: a JPEG of the photo, small; empty where it can't be read.
        near_hash: perceptual hashes (`hashes.near_hash`); empty where nothing more was measured.
        text: share of the picture that lines of text cover, 0 to 1 (`text_lines.text_share`); None where it was not
            measured, as are the following.
        entropy: of the grey levels, bits (`tones.lightness_entropy`).
        colour: how far the colours depart from one tone (`tones.colour_spread`).
        seams: straight steps from edge to edge (`seams.count_seams`).
        wall: share of the photo that the network believes to be wall, 0 to 1 (`rooms.Scene`); None where it was not
            asked, as are the following.
        floor: the same of floor.
        table: the same of dining tables.
        room: how much like a room it is, 0 to 1.
    """

    sha256: str
    size: int
    width: int = 0
    height: int = 0
    unreadable: str = ""
    thumbnail: bytes = b""
    near_hash: str = ""
    text: float | None = None
    entropy: float | None = None
    colour: float | None = None
    seams: int | None = None
    wall: float | None = None
    floor: float | None = None
    table: float | None = None
    room: float | None = None

    @property
    def worth(self) -> tuple[int, int]:
        """Of two copies of a photo the one of greater worth is kept: more pixels, then more bytes."""
        return self.width * self.height, self.size

    def to_json(self) -> str:
        """One line of JSON; what is missing is left out."""
        known = {name: value for name, value in asdict(self).items() if value != getattr(Facts, name, None)}
        if self.thumbnail:
            known["thumbnail"] = base64.b64encode(self.thumbnail).decode("ascii")
        return json.dumps(known, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """The record that `to_json` wrote; what an older version measured and this one doesn't is left out."""
        told = json.loads(text)
        known = {field.name: told[field.name] for field in fields(cls) if field.name in told}
        return cls(**known | {"thumbnail": base64.b64decode(told.get("thumbnail", ""))})
