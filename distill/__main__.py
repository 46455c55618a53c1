"""`python -m distill COMMAND`: dataset in, small model out."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] != __file__.rsplit(os.sep, 2)[0]:
    del sys.path[0]  # the folder that Python was started in: what lies there must not pass for a package we import

from surfaces.cli.commands import run_command

COMMANDS = {
    "inspect": "draw a contact sheet of a dataset and count what is in it",
    "pack": "write a dataset as COCO, or as a few files that travel to a GPU",
    "convert": "fold a published EfficientNet-Lite0 into a start for training",
    "train": "train a student",
    "evaluate": "score a model on a dataset, and show its worst photos",
    "worst": "show the photos that cost a model most, and count what is wrong with them by cause",
    "shapes": "measure what masks of a given size could draw of the truth at best",
    "losses": "write the loss curves of runs as JSON",
    "average": "mix a fine-tuned network with the one it started from",
    "tune": "find the operating point of an exported network",
    "export": "write a trained student as the ONNX file that segment.py runs",
    "reviews": "compare the queues of reviews, human labels in the reviewer's place",
    "scores": "compare teachers, student and baselines: accuracy, speed, size",
    "benchmark": "time the exported model beside others on this machine",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    return run_command("distill", str(__doc__), COMMANDS, "train", arguments)


if __name__ == "__main__":
    sys.exit(main())
