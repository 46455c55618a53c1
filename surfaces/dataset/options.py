"""How datasets of other tools are read, where there is a choice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLLOW_LINKS = "a dataset's links may leave its folder only with --follow-links"
"""What to say where one does."""

CROWDS = ("auto", "instances", "refuse")


@dataclass(frozen=True)
class ReadOptions:
    """Choices of a reader; all but the last concern COCO files alone.

    Attributes:
        skip_invalid: leave invalid annotations and images without a photo out, with a count on stderr, instead of
            refusing the file.
        crowds: what `iscrowd` annotations of dining tables are, one of `CROWDS`. `instances`: one table each. `auto`:
            tables that are not told apart; one table each where the file has no others, since some tools set `iscrowd`
            on every RLE. `refuse`: faults of the file.
        images: the folder of the photos; None to look for them around the COCO file.
        follow_links: take links that lead out of the dataset's folder. A dataset that others made could bring any file
            of this machine into what is made of it.
    """

    skip_invalid: bool = False
    crowds: str = "auto"
    images: Path | None = None
    follow_links: bool = False


DEFAULT_OPTIONS = ReadOptions()
