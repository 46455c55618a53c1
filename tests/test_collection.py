"""The same tests are collected in every process: their ids depend on neither the clock nor the hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def _collecting(hash_seed: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "pytest", "--collect-only", "-m", "slow or not slow", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)


def test_two_processes_collect_the_same() -> None:
    first = _collecting("1")
    time.sleep(1.1)  # what `gzip.compress` and others write of the time is in whole seconds
    second = _collecting("2")
    (listed, _), (again, _) = first.communicate(timeout=300), second.communicate(timeout=300)
    assert (first.returncode, second.returncode) == (0, 0), listed[-2000:]
    assert listed.count("::") > 1000
    assert _tests(listed) == _tests(again)


def _tests(listed: str) -> list[str]:
    return [line for line in listed.splitlines() if "::" in line]
