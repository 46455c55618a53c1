"""`python -m autolabel COMMAND`: from photos to a labelled dataset."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] != __file__.rsplit(os.sep, 2)[0]:
    del sys.path[0]  # the current folder: its files must not hide the packages that are imported

from surfaces.cli.commands import run_command

COMMANDS = {
    "crawl": "fetch photos of interiors from the web, politely, with their provenance",
    "run": "label the photos of a folder or a list; repeat the command to resume",
    "teachers": "list what can label, what each needs, and what works here",
    "status": "count labels, and list the skipped photos with reasons",
    "export": "write the labels as COCO, YOLO or PNG",
    "report": "write a web page that shows the labels",
    "compare": "measure the labels against people's labels of the same photos",
    "merge": "merge the labels of several machines",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    return run_command("autolabel", str(__doc__), COMMANDS, "autolabel", arguments)


if __name__ == "__main__":
    sys.exit(main())
