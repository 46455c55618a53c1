"""Every command in the documents is one that the parsers, the Makefile and pyproject.toml take."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.made.documents import documents
from tests.docs.command_lines import commands, faults

ROOT = Path(__file__).resolve().parents[2]
PAGES = [path.relative_to(ROOT) for path in documents(ROOT)]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_is_taken(page: Path) -> None:
    assert list(faults((ROOT / page).read_text("utf-8"), ROOT)) == []


def test_there_are_many() -> None:
    shown = [command for page in PAGES for _, command in commands((ROOT / page).read_text("utf-8"))]
    ours = [command for command in shown if "python -m " in command or "segment.py" in command]
    assert len(ours) > 60


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("python segment.py --uri a.jpg", "the following arguments are required: --url"),
        ("python segment.py --url a.jpg --classes wall,roof", "expected some of wall, floor, dining table; got 'roof'"),
        ("python -m autolabel run photos/ --out labels/ --techer student", "unrecognized arguments: --techer"),
        ("cat a | python -m autolabel export labels/ --format xml --out x", "invalid choice: 'xml'"),
        ("python -m autolabel label photos/", "invalid choice: 'label'"),
        ("python -m distill evaluate --split val", "the following arguments are required: DATA"),
        ("OMP_NUM_THREADS=1 .venv/bin/python -m distill pack a", "the following arguments are required: --out"),
        ("python -m labelstudio up --photo", "expected one argument"),
        ("python -m docs.made --chek", "unrecognized arguments: --chek"),
        ("make tests", "the Makefile has no target tests"),
        ("pip install -e '.[trian]'", "pyproject.toml has no extra trian"),
        ("uv pip install -e '.[train,web]'", "pyproject.toml has no extra web"),
    ],
)
@pytest.mark.parametrize("form", ["```\n{}\n```\n", "```\n{}   # so\n```\n", "Type `{}` and wait.\n"])
def test_a_wrong_command_is_told(form: str, command: str, told: str) -> None:
    (fault,) = faults("# A page\n\n" + form.format(command), ROOT)
    assert fault.startswith(f"line {4 if form.startswith('`') else 3}: ")
    assert told in fault


@pytest.mark.parametrize(
    "text",
    [
        "```\npython -m distill train --data A B \\\n    --init $W/x.npz --budget 2h --run runs/x   # comment\n```\n",
        "```\nfor s in 0 1; do\n  python -m distill evaluate DATA --weights a-$s.onnx > out.txt\ndone\n```\n",
        "```json\npython segment.py --nothing\n```\n",
        "`python -m autolabel …`, `python -m distill COMMAND`, `make`, `pip install -e '.[dev]'`",
    ],
)
def test_right_ones_and_what_is_none(text: str) -> None:
    assert list(faults(text, ROOT)) == []
