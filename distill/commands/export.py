"""`python -m distill export`: a trained student as the ONNX file that segment.py runs."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from distill.datasets import add_reading_arguments, open_datasets, protect_inputs, read_options, subsample
from distill.export.network import export, round_to_half
from models.inference.postprocess import FusionSettings
from models.student.weights import load_student, save_student
from models.weights.registry import FOLDER, write_index
from surfaces.cli.arguments import local_path, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("student", type=local_path, help="weights that `distill train` wrote (student.npz)")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=local_path, help="the ONNX file")
    target.add_argument(
        "--ship",
        action="store_true",
        help="make it the model that this checkout ships, and write its weights as float16 (.npz)",
    )
    parser.add_argument("--name", default="surfaces", help="the model's name, kept in the file")
    parser.add_argument("--check", type=local_path, required=True, help="dataset whose photos both networks are run on")
    parser.add_argument("--check-photos", type=positive, default=12, help="how many of them (default 12)")
    for field in dataclasses.fields(FusionSettings):
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, type=float, default=field.default, help=f"operating point (default {field.default})")
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exports, checks, and prints the file's path."""
    settings = FusionSettings(**{field.name: getattr(args, field.name) for field in dataclasses.fields(FusionSettings)})
    out = FOLDER / f"{args.name}.onnx" if args.ship else args.out
    npz = out.with_suffix(".npz") if args.ship else None
    samples = open_datasets([args.check], options=read_options(args))
    protect_inputs([out, npz] if npz else [out], [args.check], samples, [args.student])
    student = round_to_half(load_student(args.student))
    images = [sample.image() for sample in subsample(samples, args.check_photos)]
    print("\n".join(export(student, out, args.name, settings, images)), file=sys.stderr)
    if npz:
        save_student(student, npz, half=True)
        write_index({"onnx": out, "npz": npz})
    print(out)
    return 0
