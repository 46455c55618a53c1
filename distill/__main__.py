"""`python -m distill COMMAND`: dataset in, small model out."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] != __file__.rsplit(os.sep, 2)[0]:
    del sys.path[0]  # the folder that Python was started in: what lies there must not pass for a package we import

from surfaces.cli.commands import run_command

COMMANDS = {
    "data": "import, download, mix, split, check and count datasets",
    "inspect": "draw a contact sheet of a dataset and count what is in it; show what a network records of its training",
    "pack": "write a dataset as COCO, or as a few files that travel to a GPU",
    "convert": "fold a published EfficientNet-Lite into a start for training",
    "train": "train a student",
    "evaluate": "score a model on a dataset, and show its worst photos",
    "errors": "show the photos that cost a model most, and count what is wrong with them by cause",
    "average": "mix a fine-tuned network with the one it started from",
    "tune": "find the operating point of an exported network",
    "export": "write a trained student as the ONNX file that segment.py runs",
    "benchmark": "time the exported model beside others on this machine",
}
RENAMED = {"worst": "errors"}
"""Former names of commands, which still work."""
MOVED = {
    "reviews": "it is `python -m tools.review_simulation` in the repository",
    "scores": "it is `python -m tools.compare_models` in the repository",
    "shapes": "it is `python -m tools.resolution_bound` in the repository",
    "losses": "TensorBoard shows the curves of a run: `tensorboard --logdir RUN/curves`",
}
"""Former commands, and where to find them."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in MOVED:
        print(f"distill: `{given[0]}` is no longer a command; {MOVED[given[0]]}", file=sys.stderr)
        raise SystemExit(2)  # as argparse
    given = [RENAMED.get(word, word) for word in given[:1]] + given[1:]
    return run_command("distill", str(__doc__), COMMANDS, "train", given)


if __name__ == "__main__":
    sys.exit(main())
