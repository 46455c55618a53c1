"""Training on several processes that torchrun starts, over the loopback interface."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from distill.__main__ import main
from distill.training.batches import BatchMaker
from distill.training.checkpoint import load_checkpoint
from distill.training.config import TrainConfig
from distill.training.data import load_on_device
from distill.training.processes import Processes
from distill.training.run import train
from distill.training.views import Views
from models.student.weights import read_tensors
from models.weights.training_photos import KEYS
from surfaces.datasets import open_dataset
from tests.distill.training import ROOMS, ROOT, flags_of, small_config

LOSS_TOLERANCE = 0.02
"""Relative, of losses of one and two processes: sums in another order decide between boxes that score alike."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="torchrun's signals are those of POSIX")


def torchrun(count: int, config: TrainConfig, *flags: str) -> list[str]:
    """`distill train` on so many processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", "-m", "--"]
    return [*launcher, "distill", "train", *flags_of(config), *flags]


def run_on(count: int, config: TrainConfig, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(torchrun(count, config, *flags), cwd=ROOT, capture_output=True, text=True, check=False)


@contextmanager
def running_on(count: int, config: TrainConfig, step: int = 1) -> Iterator[subprocess.Popen[str]]:
    """`distill train` on so many processes after a step; killed at the end where it is still running."""
    with subprocess.Popen(torchrun(count, config), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith(f"step {step} "):
                break
        else:
            pytest.fail("".join(lines))
        try:
            yield process
        finally:
            process.kill()


def trainers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that torchrun has started, by rank."""
    found = [child for child in psutil.Process(process.pid).children() if "RANK" in child.environ()]
    return sorted(found, key=lambda child: int(child.environ()["RANK"]))


def losses(stderr: str) -> list[float]:
    return [float(value) for value in re.findall(r"^step .* total (\S+)$", stderr, re.MULTILINE)]


def largest_difference(one: Path, other: Path) -> float:
    """Of the tensors of two networks, in standard deviations of each tensor."""
    old, new = read_tensors(one), read_tensors(other)
    floats = [name for name in old if name not in KEYS and old[name].dtype.kind == "f" and old[name].std()]
    return max(float(np.abs(old[name] - new[name]).max() / old[name].std()) for name in floats)


def learning(run: Path, **changes: object) -> TrainConfig:
    """Eight crops a step, from the shipped weights."""
    return small_config(run, **{"batch": 8, "steps": 4, "init": "shipped", "lr": 3e-4} | changes)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, str]:
    """The settings of a run of two processes, and what it printed."""
    config = learning(tmp_path_factory.mktemp("two") / "run")
    ran = run_on(2, config)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"{Path(config.run) / 'student.npz'}\n"
    return config, ran.stderr


def test_two_processes_follow_one_with_the_same_batch(
    unbroken: tuple[TrainConfig, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, stderr = unbroken
    weights = train(replace(config, run=str(tmp_path / "run")))
    alone = losses(capsys.readouterr().err)
    assert len(alone) == 4
    np.testing.assert_allclose(losses(stderr), alone, rtol=LOSS_TOLERANCE)
    assert losses(stderr)[0] == pytest.approx(alone[0], rel=1e-4)
    assert largest_difference(weights, Path(config.run) / "student.npz") < 0.1


def killed(config: TrainConfig) -> None:
    """A run of two processes that are killed after the second step."""
    with running_on(2, config, 2) as process:
        found = trainers(process)
        for child in [psutil.Process(process.pid), *found]:
            child.kill()
        psutil.wait_procs(found)
    assert not (Path(config.run) / "student.npz").exists()


def test_a_killed_run_resumes_with_any_number_of_processes(unbroken: tuple[TrainConfig, str], tmp_path: Path) -> None:
    config, _ = unbroken
    resumed = replace(config, run=str(tmp_path / "run"), checkpoint_every=1)
    killed(resumed)
    checkpoint = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    ran = run_on(2, resumed, "--resume")
    assert ran.returncode == 0, ran.stderr
    assert "resumed after step" in ran.stderr
    expected = Path(config.run) / "student.npz"
    assert (tmp_path / "run" / "student.npz").read_bytes() == expected.read_bytes()

    (tmp_path / "run" / "checkpoint.pt").write_bytes(checkpoint)
    assert largest_difference(train(resumed, resume=True), expected) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_stops_all_after_the_same_step(rank: int, tmp_path: Path) -> None:
    config = learning(tmp_path / "run", steps=10_000, batch=2, checkpoint_every=10_000)
    with running_on(2, config) as process:
        found = trainers(process)
        found[rank].send_signal(signal.SIGTERM)
        assert process.stderr
        errors = [line for line in process.stderr.read().splitlines() if line.startswith("distill: ")]
        assert not psutil.wait_procs(found, timeout=60)[1]
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint
    assert errors == [f"distill: stopped after step {checkpoint.step}; the same command with --resume continues"]


@pytest.mark.slow
def test_a_lost_process_ends_the_others(tmp_path: Path) -> None:
    config = learning(tmp_path / "run", steps=10_000, batch=2)
    with running_on(2, config) as process:
        found = trainers(process)
        found[1].kill()
        assert process.stderr
        errors = [line for line in process.stderr.read().splitlines() if line.startswith("distill: ")]
        assert not psutil.wait_procs(found, timeout=60)[1]
    assert errors == ["distill: expected 2 processes, lost one; the same command with --resume continues"]


def test_an_error_is_one_line_of_one_process(tmp_path: Path) -> None:
    ran = run_on(2, learning(tmp_path / "run", batch=1))
    assert ran.returncode
    errors = [line for line in ran.stderr.splitlines() if line.startswith("distill: ")]
    assert errors == ["distill: expected `batch` of a photo or more for each of 2 processes, got 1"]
    assert not (tmp_path / "run").exists()


def test_processes_that_torchrun_did_not_start_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "first")
    assert main(["train", *flags_of(learning(tmp_path / "run"))]) == 3
    error = r"distill: expected processes that torchrun has started, got RANK=first, WORLD_SIZE=2, .*\n"
    assert re.fullmatch(error, capsys.readouterr().err)


@pytest.mark.parametrize("copy_paste", [0.0, 1.0])
def test_processes_share_the_views_of_one(copy_paste: float, tmp_path: Path) -> None:
    data = load_on_device([open_dataset(ROOMS)[:6]], (), torch.device("cpu"))
    config = small_config(tmp_path, batch=5, extra=("more",), extra_batch=3, copy_paste=copy_paste)
    whole = BatchMaker(config, data, data).make(7)
    for rank in range(2):
        part = BatchMaker(config, data, data, Processes(rank, 2)).make(7)
        rows = [*range(rank, 5, 2), *range(5 + rank, 8, 2)]
        assert views_equal(part, Views(*(values[rows] for values in vars(whole).values())))


def views_equal(one: Views, other: Views) -> bool:
    return all(torch.allclose(values.double(), vars(other)[name].double()) for name, values in vars(one).items())
