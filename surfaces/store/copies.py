"""Records where a label store's photos and labels were copied to."""

from __future__ import annotations

from pathlib import Path

from surfaces.datasets.reading import note
from surfaces.errors import OutputError
from surfaces.store.forgetting import Copy, CopyKind
from surfaces.store.label_store import LabelStore


def record_copy(store: LabelStore, folder: Path, kind: CopyKind) -> None:
    """Records that a folder holds a copy of a store's photos or labels; a note where the store cannot be written."""
    try:
        store.note_copy(Copy(str(folder.absolute()), kind))
    except OutputError as error:
        note(f"{folder} is not recorded in the label store, so `autolabel crawl --forget` will not name it: {error}")
