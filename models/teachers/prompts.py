"""What a text-prompted detector is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from surfaces.classes import SurfaceClass
from surfaces.errors import SurfacesError

_WORDS = re.compile(r"[^\W_]+(?:[ '-][^\W_]+)*")


class PromptError(SurfacesError):
    """A text is no prompt: a typo in an ontology, or more words than the detector reads at once."""

    exit_code = 11


@dataclass(frozen=True)
class Prompt:
    """Words that a detector looks for.

    Attributes:
        text: lower case, words apart by single spaces, hyphens or apostrophes: "dining table". Full stops and question
            marks separate prompts in what the detector reads, so a prompt has none.
        surface: the class that it finds; None for a negative prompt, whose regions keep the classes off.

    Raises:
        PromptError: the text is not written so.
    """

    text: str
    surface: SurfaceClass | None

    def __post_init__(self) -> None:
        if self.text != self.text.lower() or not _WORDS.fullmatch(self.text):
            raise PromptError(f"expected a prompt of lower-case words such as 'dining table', got {self.text!r}")
