"""The word pieces of BERT, which Grounding DINO reads its prompts in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tokenizers import BertWordPieceTokenizer

from models.teachers.base import PromptError
from surfaces.errors import WeightsError

CLS, SEP, STOP = 101, 102, 1012
"""Ids of `[CLS]`, `[SEP]` and `.`: the detector's code knows them by number, so a vocabulary must have them there."""

_UNKNOWN = "[UNK]"
_FIXED = {"[PAD]": 0, _UNKNOWN: 100, "[CLS]": CLS, "[SEP]": SEP, ".": STOP, "?": 1029}


class Vocabulary:
    """Splits words into the pieces of bert-base-uncased (Devlin et al., BERT, 2019; Wu et al., WordPiece, 2016).

    Args:
        words: the pieces; their order is their ids.

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
        """Reads a vocabulary.

        Args:
            path: `vocab.txt` of bert-base-uncased, one piece a line, or a folder that holds it.

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

    def pieces(self, text: str) -> tuple[int, ...]:
        """The ids of a text's pieces, without those that begin and end a sentence.

        Raises:
            PromptError: it has a character that no piece of the vocabulary spells.
        """
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        if _UNKNOWN in encoded.tokens:
            raise PromptError(f"expected a prompt that BERT's vocabulary can spell, got {text!r}")
        return tuple(encoded.ids)
