"""Captions of several prompts with their token spans, and each prompt's score from its tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from tokenizers import BertWordPieceTokenizer

from models.teachers.base import Floats, Prompt, PromptError
from surfaces.errors import WeightsError

CLS, SEP, STOP, QUESTION = 101, 102, 1012, 1029
"""Ids of `[CLS]`, `[SEP]`, `.` and `?`, which the detector's code knows by number."""
_UNKNOWN = "[UNK]"
_FIXED = {"[PAD]": 0, _UNKNOWN: 100, "[CLS]": CLS, "[SEP]": SEP, ".": STOP, "?": QUESTION}


class Vocabulary:
    """Splits words into the pieces of bert-base-uncased (Devlin et al., BERT, 2019); a piece's index is its id.

    Raises:
        WeightsError: the pieces that the detector knows by number are elsewhere.
    """

    def __init__(self, words: Sequence[str]) -> None:
        ids = {word: number for number, word in enumerate(words)}
        moved = [word for word, number in _FIXED.items() if ids.get(word) != number]
        if moved:
            raise WeightsError(
                f"expected bert-base-uncased's vocabulary, got {len(words)} word pieces with {moved[0]!r} elsewhere"
            )
        self._tokenizer = BertWordPieceTokenizer(vocab=ids, lowercase=True)
        self._size = len(words)
        self.sha256 = hashlib.sha256("\n".join(words).encode()).hexdigest()

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Reads `vocab.txt` of bert-base-uncased, one piece a line, or that of a folder.

        Raises:
            WeightsError: it is missing, can't be read, or is another one.
        """
        file = path / "vocab.txt" if path.is_dir() else path
        try:
            return cls(file.read_text(encoding="utf-8").removesuffix("\n").split("\n"))  # other line ends are pieces
        except OSError as error:
            raise WeightsError(f"expected BERT's vocabulary at {file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise WeightsError(f"expected BERT's vocabulary at {file}, got another file: {error.reason}") from error

    def __len__(self) -> int:
        return self._size

    def token_ids(self, text: str) -> tuple[int, ...]:
        """The ids of a text's word pieces, without [CLS] and [SEP].

        Raises:
            PromptError: it has a character that no piece of the vocabulary spells.
        """
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        if _UNKNOWN in encoded.tokens:
            raise PromptError(f"expected a prompt that BERT's vocabulary can spell, got {text!r}")
        return tuple(encoded.ids)


Passes = Literal["one", "class"]
"""`one`: all prompts in one caption; `class`: a caption a class, and one for the negative prompts."""
TokenScore = Literal["mean", "max"]


@dataclass(frozen=True)
class Caption:
    """The input of one pass: `[CLS] wall . floor . dining table . [SEP]`.

    Attributes:
        spans: first and one past the last position of each prompt's tokens, without its full stop.
        prompts: the prompt of each span, as an index into all prompts.
    """

    token_ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    prompts: tuple[int, ...]


def captions_of(
    prompts: Sequence[Prompt], token_ids: Sequence[Sequence[int]], passes: Passes, limit: int
) -> list[Caption]:
    """Joins prompts to as few captions as their length allows; order is kept within a caption.

    Args:
        prompts: all prompts.
        token_ids: of each prompt's words.
        passes: which prompts may share a caption.
        limit: the most tokens of a caption, [CLS] and [SEP] included.

    Raises:
        PromptError: a prompt alone is longer.
    """
    for prompt, ids in zip(prompts, token_ids, strict=True):
        if _length([ids]) > limit:
            raise PromptError(
                f"expected prompts of at most {limit - 3} word pieces, {prompt.text[:40]!r} has {len(ids)}"
            )
    surfaces = dict.fromkeys(prompt.surface for prompt in prompts)
    groups = [[i for i, prompt in enumerate(prompts) if prompt.surface == surface] for surface in surfaces]
    if passes == "one":
        groups = [list(range(len(prompts)))]
    return [_caption(part, token_ids) for group in groups for part in _split(group, token_ids, limit)]


def prompt_scores(probabilities: Floats, caption: Caption, token_score: TokenScore, count: int) -> Floats:
    """The scores of all prompts from the probabilities of a caption's tokens.

    Grounding DINO's evaluation on COCO takes the mean over a class's tokens: every word has to agree, so that a coffee
    table is not a dining table for its second word. Its demonstration takes the largest.

    Args:
        probabilities: float32 (N, T), for each box and token of the caption.
        caption: T tokens.
        token_score: mean or largest.
        count: the number of all prompts, P.

    Returns:
        float32 (N, P); 0 for prompts that are not in this caption.
    """
    scores = np.zeros((len(probabilities), count), np.float32)
    for prompt, (start, stop) in zip(caption.prompts, caption.spans, strict=True):
        tokens = probabilities[:, start:stop]
        scores[:, prompt] = tokens.mean(axis=1) if token_score == "mean" else tokens.max(axis=1)
    return scores


def _length(token_ids: Sequence[Sequence[int]]) -> int:
    return 2 + sum(len(ids) + 1 for ids in token_ids)


def _split(group: Sequence[int], token_ids: Sequence[Sequence[int]], limit: int) -> Iterator[list[int]]:
    part: list[int] = []
    for prompt in group:
        if part and _length([token_ids[i] for i in [*part, prompt]]) > limit:
            yield part
            part = []
        part.append(prompt)
    if part:
        yield part


def _caption(part: Sequence[int], token_ids: Sequence[Sequence[int]]) -> Caption:
    caption_ids = [CLS]
    spans = []
    for prompt in part:
        start = len(caption_ids)
        caption_ids += token_ids[prompt]
        spans.append((start, len(caption_ids)))
        caption_ids.append(STOP)
    return Caption((*caption_ids, SEP), tuple(spans), tuple(part))
