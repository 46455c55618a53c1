"""The schedule of hosts: one request at a time, pauses, fairness."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.crawling.fetching.schedule import Schedule


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def schedule(clock: Clock) -> Schedule:
    return Schedule(clock)


def test_an_idle_host_keeps_its_time(schedule: Schedule, clock: Clock) -> None:
    schedule.add("a")
    schedule.pop()
    schedule.reschedule("a", 5.0)
    clock.now += 5.0
    schedule.pop()
    schedule.idle("a")
    assert (schedule.wait_s(), schedule.num_active) == (None, 0)
    schedule.add("a")
    assert schedule.pop() == "a"


def test_a_new_host_may_wait_first(schedule: Schedule, clock: Clock) -> None:
    schedule.add("a", wait_s=3.0)
    schedule.add("a")
    assert schedule.pop() is None
    clock.now += 3.0
    assert schedule.pop() == "a"


def test_a_suspended_host_gets_no_requests(schedule: Schedule) -> None:
    schedule.add("a")
    schedule.pop()
    schedule.suspend("a")
    schedule.add("a")
    assert schedule.pop() is None
    assert schedule.is_suspended("a")
    assert not schedule.is_suspended("b")


def test_consecutive_failures_are_counted(schedule: Schedule) -> None:
    schedule.add("a")
    assert [schedule.count_failure("a"), schedule.count_failure("a")] == [1, 2]
    schedule.reset_failures("a")
    assert schedule.count_failure("a") == 1


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 1000))
def test_every_host_gets_its_turn_and_its_pause(hosts: int, workers: int, seed: int) -> None:
    rng, clock = random.Random(seed), Clock()
    schedule = Schedule(clock)
    turns: dict[str, list[float]] = {f"h{number}": [] for number in range(hosts)}
    for host in turns:
        schedule.add(host)
    working: list[str] = []
    for _ in range(300):
        while len(working) < workers and (host := schedule.pop()):
            assert host not in working
            assert not turns[host] or clock.now >= turns[host][-1] + 1.0
            working.append(host)
        clock.now += 0.1
        if working and rng.random() < 0.8:
            done = working.pop(rng.randrange(len(working)))
            turns[done].append(clock.now)
            schedule.reschedule(done, 1.0)
    counts = sorted(len(times) for times in turns.values())
    # Responses at random times may cost a host some turns; none starves.
    assert counts[-1] - counts[0] <= 3 + workers
