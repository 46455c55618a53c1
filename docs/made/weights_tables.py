"""The published weights that teachers ask for: names, sizes, hashes, addresses."""

from __future__ import annotations

from pathlib import Path

from docs.made.formats import markdown_table
from models.weights.official import BERT_VOCABULARY, GROUNDING_DINO, SAM, Checkpoint

_HEADER = ("file", "for", "bytes", "SHA-256", "from")


def teacher_weights(_: Path) -> str:
    """A row for each file."""
    return markdown_table(
        _HEADER,
        [
            *(_row(checkpoint, f'`detector = "{name}"`') for name, checkpoint in GROUNDING_DINO.items()),
            _row(BERT_VOCABULARY, "every detector"),
            *(_row(checkpoint, f'`sam = "{name}"`') for name, checkpoint in SAM.items()),
        ],
    )


def _row(checkpoint: Checkpoint, use: str) -> tuple[str, ...]:
    link = f"[{checkpoint.address.split('/')[2]}]({checkpoint.address})"
    return f"`{checkpoint.name}`", use, f"{checkpoint.size:,}", f"`{checkpoint.sha256}`", link
