"""The processes of a training run that torchrun starts, and what they tell each other; without it there is one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from models.device import pick_device
from surfaces.errors import SurfacesError

T = TypeVar("T")
TIMEOUT = timedelta(hours=6)
"""Longest wait for another process, which may be validating; torchrun ends the others where one has died."""

START_TIMEOUT = timedelta(minutes=5)
"""Longest wait for all processes to start."""

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


class PeerError(SurfacesError):
    """Another process of the run has stopped and says why."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("another process of this run has stopped")
        self.exit_code = exit_code


class LostProcessError(SurfacesError):
    """Another process of the run does not answer any more."""


@dataclass(frozen=True)
class Processes:
    """This process among those of the run.

    Attributes:
        rank: its number, from 0.
        count: of all.
        local_rank, local_count: the same among those on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes, validates and reports."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """The named device, see `pick_device`; of several GPUs one a process."""
        device = pick_device(name)
        if self.count > 1 and device == torch.device("cuda"):
            device = pick_device(f"cuda:{self.local_rank}")
            torch.cuda.set_device(device)
        return device

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.count == 1:
            return values
        result = values.clone()
        with lost_processes():
            dist.all_reduce(result)
        return result

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replaces each gradient by its sum over all processes."""
        if self.count == 1:
            return
        learnt = [parameter for parameter in parameters if parameter.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in learnt]
        summed = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(summed, [gradient.numel() for gradient in gradients])
        for parameter, gradient, part in zip(learnt, gradients, parts, strict=True):
            parameter.grad = gradient.copy_(part.view_as(gradient))

    def from_first(self, value: T) -> T:
        """The first process's value."""
        values = [value]
        if self.count > 1:
            with lost_processes():
                dist.broadcast_object_list(values)
        return values[0]

    def gather(self, value: T) -> list[T]:
        """The values of all processes."""
        values = [value] * self.count
        if self.count > 1:
            with lost_processes():
                dist.all_gather_object(values, value)
        return values

    def meet(self, stopped_by: int | None = None, elapsed: float = 0.0) -> tuple[int | None, float]:
        """Waits for all processes; called between what may fail in one of them and what they compute together.

        Args:
            stopped_by: the signal that has asked this process to stop.
            elapsed: seconds of training.

        Returns:
            The signal of any process; the seconds of the first.

        Raises:
            PeerError: one has failed.
        """
        if self.count == 1:
            return stopped_by, elapsed
        failed, _, signal, seconds = self._highest([0, 0, stopped_by or 0, elapsed if self.first else 0])
        if failed:
            raise PeerError(int(failed))
        return int(signal) or None, seconds

    def fail(self, exit_code: int) -> bool:
        """Has the others stop at their next `meet`; returns whether this process is the first that failed."""
        _, last, _, _ = self._highest([exit_code, self.count - self.rank, 0, 0])
        return self.count - int(last) == self.rank

    def _highest(self, values: list[float]) -> list[float]:
        together = torch.tensor(values, dtype=torch.float64)
        with lost_processes():
            dist.all_reduce(together, dist.ReduceOp.MAX)
        return together.tolist()


ALONE = Processes()


@contextmanager
def lost_processes() -> Iterator[None]:
    """Turns what torch raises where another process is gone into a LostProcessError."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError(
            f"expected {dist.get_world_size()} processes, lost one; the same command with --resume continues"
        ) from error


@contextmanager
def open_processes() -> Iterator[Processes]:
    """Connects the processes that torchrun has started; only the first prints, and one of those that fail.

    Raises:
        SurfacesError: the others cannot be reached.
        PeerError: another process has failed.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1" or not dist.is_available():
        yield ALONE
        return
    processes = connected()
    try:
        with ExitStack() as silenced:
            if not processes.first:
                nowhere = silenced.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
                silenced.enter_context(redirect_stdout(nowhere))
                silenced.enter_context(redirect_stderr(nowhere))
            yield processes
    except PeerError:
        raise
    except LostProcessError as error:
        raise (error if processes.first else PeerError(error.exit_code)) from error
    except KeyboardInterrupt:
        if not processes.first:
            raise PeerError(130) from None
        raise
    except SurfacesError as error:
        if not processes.fail(error.exit_code):
            raise PeerError(error.exit_code) from error
        raise
    finally:
        dist.destroy_process_group()


def connected() -> Processes:
    """Joins the group of processes. Raises SurfacesError where that fails."""
    numbers: dict[str, Any] = {name: os.environ.get(name, "") for name in VARIABLES}
    try:
        processes = Processes(*(int(numbers[name]) for name in VARIABLES))
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        store, rank, count = next(rendezvous("env://", timeout=START_TIMEOUT))
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        told = ", ".join(f"{name}={value}" for name, value in numbers.items())
        raise SurfacesError(
            f"expected processes that torchrun has started, got {told}: {str(error).splitlines()[0]}"
        ) from error
    return processes
