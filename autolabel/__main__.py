"""`python -m autolabel COMMAND`: photos in, labelled dataset out."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] != __file__.rsplit(os.sep, 2)[0]:
    del sys.path[0]  # the folder that Python was started in: what lies there must not pass for a package we import

from surfaces.cli.commands import run_command

COMMANDS = {
    "crawl": "fetch photos of interiors from the web, politely, with their provenance",
    "run": "label the photos of a folder or a list, and go on where the last run stopped",
    "status": "count what is labelled, and tell what was skipped and why",
    "export": "write the labels as COCO, YOLO or PNG",
    "report": "write a page that shows the labels",
    "compare": "score the labels where people labelled the same photos",
    "merge": "bring the labels of several machines together",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    return run_command("autolabel", str(__doc__), COMMANDS, "autolabel", arguments)


if __name__ == "__main__":
    sys.exit(main())
