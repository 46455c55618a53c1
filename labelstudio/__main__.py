"""`python -m labelstudio COMMAND`: people review labels in Label Studio."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] != __file__.rsplit(os.sep, 2)[0]:
    del sys.path[0]  # the current folder, whose files must not be imported as packages

from surfaces.cli.commands import run_command

COMMANDS = {
    "up": "start a Label Studio on this machine",
    "down": "stop the Label Studio that `up` started",
    "init": "create the project, or update it",
    "push": "send photos to review, with their labels as predictions",
    "pull": "fetch reviewed labels into the dataset",
    "undo": "restore the automatic labels that pulled reviews replaced",
    "status": "count waiting and reviewed tasks, and measure the predictions",
    "backend": "answer clicks and boxes in the browser with masks",
    "sync": "pull, retrain, push: one round of the loop",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    return run_command("labelstudio", str(__doc__), COMMANDS, "labelstudio", arguments)


if __name__ == "__main__":
    sys.exit(main())
