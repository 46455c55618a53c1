"""`python -m autolabel merge DATASET … --out DATASET`: merges the labels of several machines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from surfaces.cli.arguments import local_path
from surfaces.io.atomic_files import require_outside
from surfaces.store.copies import record_copy
from surfaces.store.forgetting import CopyKind
from surfaces.store.label_store import LabelStore, SettingsChangedError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add = parser.add_argument
    datasets_help = "folders that `run` labelled into with the same settings"
    add("datasets", nargs="+", type=local_path, metavar="DATASET", help=datasets_help)
    add("--out", type=local_path, required=True, metavar="DATASET", help="the folder to merge into")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    require_outside(args.out, args.datasets)
    _require_same_settings(args.datasets)  # before anything is written
    with LabelStore.create(args.out) as store:
        for folder in args.datasets:
            with LabelStore.open(folder) as other:
                record_copy(other, args.out, CopyKind.STORE)
            merged = store.merge(folder)
            print(f"{folder}: {merged.taken} photos taken over", file=sys.stderr)
            if merged.conflicts:
                kept = f"{merged.conflicts} photos have other reviews in {args.out}, which are kept"
                print(f"{folder}: {kept}", file=sys.stderr)
    print(args.out)
    return 0


def _require_same_settings(folders: list[Path]) -> None:
    known: dict[str, str] = {}
    for folder in folders:
        with LabelStore.open(folder) as store:
            if settings := store.settings_in_use():
                known[settings.fingerprint] = f"{folder} ({settings.teacher}, {settings.fingerprint[:12]})"
    if len(known) > 1:
        raise SettingsChangedError(f"expected datasets of the same settings, got {' and '.join(known.values())}")
