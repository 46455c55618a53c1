"""`python -m autolabel teachers`: what can label, what each needs, and what works on this machine."""

from __future__ import annotations

import argparse

from autolabel.labelling.known_teachers import KNOWN_TEACHERS, default_teacher


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments: none."""


def run(_: argparse.Namespace) -> int:
    """Prints a line a teacher; returns the exit code."""
    print(f"{'teacher':14}{'works here':12}{'licence':30}what it is, and what it needs")
    for teacher in KNOWN_TEACHERS:
        lacks = teacher.lacks()
        mark = "" if teacher.name != default_teacher() else " (default here)"
        needs = f"; needs {lacks}" if lacks else ""
        row = f"{teacher.name:14}{'no' if lacks else 'yes':12}{teacher.licence:30}{teacher.summary}{mark}{needs}"
        print(row)
    print(f"{'FILE.toml':14}{'':12}{'':30}an ensemble, other sizes, your own code: docs/autolabel.md")
    return 0
