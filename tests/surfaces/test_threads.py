"""Work ahead of its use, and the number of usable CPUs."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surfaces.threads import DaemonThreads, call_in_thread, prefetch, usable_cpus

ROOT = Path(__file__).parents[2]


@given(st.lists(st.integers(), max_size=30), st.integers(1, 4), st.integers(0, 6))
def test_results_come_in_order(items: list[int], workers: int, ahead: int) -> None:
    with ThreadPoolExecutor(workers) as pool:
        assert list(prefetch(lambda item: item * 2, items, pool, ahead)) == [item * 2 for item in items]


def test_work_ahead_is_bounded() -> None:
    numbers = iter(range(100))
    with ThreadPoolExecutor(4) as pool:
        results = prefetch(lambda item: item, numbers, pool, 3)
        for expected in range(10):
            assert next(results) == expected
        assert next(numbers) == 9 + 4


def test_work_continues_while_a_result_is_in_use() -> None:
    begun = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            begun.set()
        return item

    with ThreadPoolExecutor(1) as pool:
        results = prefetch(work, range(3), pool, 1)
        assert next(results) == 0
        assert begun.wait(10)


def test_errors_are_raised_in_place_of_the_result() -> None:
    with ThreadPoolExecutor(2) as pool:
        results = prefetch(lambda item: 1 // item, [1, 1, 0, 1], pool, 2)
        assert [next(results), next(results)] == [1, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_the_process_does_not_wait_for_daemon_threads() -> None:
    hanging = "from surfaces.threads import *; import time; DaemonThreads().submit(time.sleep, 600); print('done')"
    process = subprocess.run([sys.executable, "-c", hanging], capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert (process.returncode, process.stdout) == (0, "done\n")


def test_daemon_threads_give_results_and_errors() -> None:
    assert list(prefetch(lambda item: item * 2, range(5), DaemonThreads(), 2)) == [0, 2, 4, 6, 8]
    with pytest.raises(ZeroDivisionError):
        call_in_thread(lambda: 1 // 0).result()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "9900000 100000\n"}, 8),
        ({"cpu.max": "what"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
    ],
)
def test_a_containers_quota_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert usable_cpus(tmp_path) == expected
