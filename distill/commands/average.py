"""`python -m distill average`: a network between a fine-tuned one and its origin.

The mean of their weights keeps most of what fine-tuning gained and forgets less of what was known before (WiSE-FT:
Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022). Of several trainings from one start, all weights
can be averaged (Wortsman et al., Model soups, ICML 2022).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from models.student.network import Student
from models.student.weights import load_branch, load_student, save_student
from surfaces.cli.arguments import local_path
from surfaces.errors import WeightsError
from surfaces.io.atomic_files import refuse_overwrite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("student", type=local_path, help="weights that `distill train` wrote (student.npz)")
    parser.add_argument(
        "origin", type=local_path, help="weights whose semantic branch is mixed in; heads are looked at with --heads"
    )
    parser.add_argument(
        "--heads", action="store_true", help="mix the heads too, which must come from one start, as by `train --init`"
    )
    parser.add_argument("--share", type=float, default=0.5, help="the student's share, 0 to 1 (default %(default)s)")
    parser.add_argument("--out", type=local_path, required=True, help="the .npz file")


def run(args: argparse.Namespace) -> int:
    """Averages, and prints the file's path."""
    if not 0 <= args.share <= 1:
        raise WeightsError(f"expected a share from 0 to 1, got {args.share}")
    refuse_overwrite([args.out], [args.student, args.origin])
    save_student(average(args.student, args.origin, args.share, args.heads), args.out)
    print(args.out)
    return 0


def average(student: Path, origin: Path, share: float, heads: bool = False) -> Student:
    """The student with `share` of its own encoder, semantic branch and maybe heads, and the rest of the origin's.

    Raises:
        WeightsError: a file cannot be read, or the encoders differ.
    """
    mixed, other = load_student(student), (load_student if heads else load_branch)(origin)
    if mixed.encoder_name != other.encoder_name:
        raise WeightsError(f"expected a {mixed.encoder_name} network at {origin}, got {other.encoder_name}")
    own = mixed.state_dict()
    for name, tensor in other.state_dict().items():
        own[name].lerp_(tensor, 1 - share)
    mixed.training_photos = mixed.training_photos.union(other.training_photos)
    return mixed
