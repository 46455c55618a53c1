"""Workers on a Ray cluster that take items one after another, and are replaced when they or their machines die.

Plain actors rather than Ray Data: an item's result is a file that the worker writes, so nothing passes through Ray's
object store, and who died with which item is known.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from surfaces.errors import MissingExtraError, SurfacesError
from surfaces.messages import brief

ItemT = TypeVar("ItemT")
ItemT_contra = TypeVar("ItemT_contra", contravariant=True)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

_CONNECT_SECONDS = 10.0
_POLL_SECONDS = 1.0
_POLLS_BEFORE_NOTE = 60
_DEATHS_MAX = 3
_FAILED_STARTS_MAX = 5
_CALLS_PER_WORKER = 2  # the next is there when one ends


class ClusterError(SurfacesError):
    """There is no cluster at the address, or its machines cannot run the workers."""

    exit_code = 30


class Worker(Protocol[ItemT_contra, ResultT_co]):
    """Works on items in a process of the cluster."""

    @property
    def identity(self) -> Any:
        """Equal for all workers that give equal results."""

    def work(self, item: ItemT_contra) -> ResultT_co:
        """Works on one item, possibly a second time after another worker died."""


@dataclass(frozen=True)
class ClusterSettings:
    """Which cluster, and what a worker takes of it.

    Attributes:
        address: `HOST:PORT` or `auto`; None: a cluster of this machine alone, for this run.
        workers: their number; None: as many as the machines that are there can run.
        cpus, gpus: of a worker, may be fractions.
    """

    address: str | None = None
    workers: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Connects to a cluster; yields the module `ray`. No dashboard, no usage statistics, no output of workers.

    Within the block nothing is printed to stdout.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: there is no cluster at the address, or one of other versions.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # else reports of dead machines are kept, and printed at the exit
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None and "ray" not in sys.modules:  # it reads the variables when it is imported
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # no port beyond loopback
        # Else Ray writes a token to the home folder, and a later `ray start` takes it up.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError("expected Ray, install interior-surfaces[ray]") from error
    if address is not None:
        _require_listening(address)
    options: dict[str, Any] = {"include_dashboard": False} if address is None else {}
    try:
        with _own_sigterm():
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except Exception as error:  # Ray raises many kinds
        token = "; one with a token needs RAY_AUTH_MODE=token here" if address else ""
        raise ClusterError(
            f"expected a Ray cluster at {address or 'this machine'}, got: {_last_line(error)}{token}"
        ) from error
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # where Ray reports dead machines
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keeps this process' handler of SIGTERM, which Ray replaces by one that ends it with another code."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@dataclass(eq=False)
class _Actor(Generic[ItemT]):
    handle: Any
    calls: dict[Any, tuple[ItemT, int]] = field(default_factory=dict)  # item and deaths so far, by reference


@dataclass(frozen=True)
class Done(Generic[ItemT, ResultT]):
    """An item with its result, or `lost`: each worker that took it died, `_DEATHS_MAX` in all."""

    item: ItemT
    result: ResultT | None
    lost: bool = False


class WorkerPool(Generic[ItemT, ResultT]):
    """Workers of a cluster.

    Args:
        ray: the connected module.
        make: opens a worker in its process; it is sent there by name.
        settings: what a worker takes.
        count_max: no more workers are useful.
        note: gets lines about waiting and dead workers.

    Raises:
        ClusterError: the machines that are there cannot run one, and `settings.workers` does not say that more come.
    """

    def __init__(
        self,
        ray: Any,
        make: Callable[[], Worker[ItemT, ResultT]],
        settings: ClusterSettings,
        count_max: int,
        note: Callable[[str], None],
    ) -> None:
        self._ray, self._settings, self._note = ray, settings, note
        options = {"num_cpus": settings.cpus, "num_gpus": settings.gpus, "max_restarts": 0}
        actor_class = ray.remote(**options)(_Process)
        self._start_actor: Callable[[], Any] = partial(actor_class.remote, make, str(Path.cwd()))
        self._starting: dict[Any, Any] = {}
        self._ready: list[_Actor[ItemT]] = []
        self._failed_starts = 0
        self._polls_without_worker = 0
        self._identity: Any = None
        for _ in range(min(max(1, count_max), settings.workers or _capacity(ray, settings))):  # one tells who it is
            self._start()

    def close(self) -> None:
        """Ends the workers."""
        for handle in [*self._starting.values(), *(actor.handle for actor in self._ready)]:
            with suppress(Exception):
                self._ray.kill(handle)

    def identity(self) -> Any:
        """Waits for the first worker; its identity. Errors as of `run`."""
        while self._identity is None:
            self._wait()
        return self._identity

    def run(self, items: Iterable[ItemT], interrupted: Callable[[], bool]) -> Iterator[Done[ItemT, ResultT]]:
        """Yields each item when it is done, in any order; an item whose worker died is given to another one.

        Raises:
            ClusterError: workers cannot be started, or are not alike.
            SurfacesError: what a worker raised.
        """
        waiting = deque((item, 0) for item in items)
        while not interrupted() and (waiting or any(actor.calls for actor in self._ready)):
            self._assign(waiting)
            for actor, reference in self._wait():
                if reference not in actor.calls:  # its worker died, which an earlier reference showed
                    continue
                item, deaths = actor.calls[reference]
                try:
                    result = self._value(reference)
                except _WorkerDiedError as error:
                    lost = list(actor.calls.values())
                    self._replace(actor, error)
                    waiting.extendleft(reversed(lost[1:]))
                    item, deaths = lost[0]  # calls run in their order
                    if deaths + 1 < _DEATHS_MAX:
                        waiting.append((item, deaths + 1))
                    else:
                        yield Done(item, None, lost=True)
                else:
                    del actor.calls[reference]
                    yield Done(item, result)

    def _assign(self, waiting: deque[tuple[ItemT, int]]) -> None:
        for queued in range(_CALLS_PER_WORKER):  # all get one before any gets two
            for actor in self._ready:
                if waiting and len(actor.calls) == queued:
                    item, deaths = waiting.popleft()
                    actor.calls[actor.handle.work.remote(item)] = (item, deaths)

    def _wait(self) -> list[tuple[_Actor[ItemT], Any]]:
        """Waits a little; returns calls that ended, those of one worker in their order."""
        calls = {reference: actor for actor in self._ready for reference in actor.calls}
        references = [*self._starting, *calls]
        ended, _ = self._ray.wait(references, num_returns=1, timeout=_POLL_SECONDS)
        self._note_waiting()
        done, _ = self._ray.wait(references, num_returns=len(references), timeout=0) if ended else ([], [])
        for reference in done:
            if reference in self._starting:
                self._finish_start(reference)
        finished = set(done)
        return [(calls[reference], reference) for reference in calls if reference in finished]

    def _note_waiting(self) -> None:
        self._polls_without_worker = 0 if self._ready else self._polls_without_worker + 1
        if self._polls_without_worker == _POLLS_BEFORE_NOTE:
            asked = f"{self._settings.cpus:g} CPUs and {self._settings.gpus:g} GPUs"
            self._note(f"no worker runs yet; the run waits for machines with {asked} for one")

    def _start(self) -> None:
        handle: Any = self._start_actor()
        self._starting[handle.start.remote()] = handle

    def _finish_start(self, reference: Any) -> None:
        handle = self._starting.pop(reference)
        try:
            identity = self._value(reference)
        except _WorkerDiedError as error:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS_MAX:
                raise ClusterError(
                    f"expected workers to start, {_FAILED_STARTS_MAX} did not, the last with: {error};"
                    " every machine needs the same interior-surfaces and its extras"
                ) from error
            self._start()
            return
        self._failed_starts = 0
        if self._identity not in (None, identity):
            raise ClusterError(f"expected all workers to be alike, got {self._identity} and {identity}")
        self._identity = identity
        self._ready.append(_Actor(handle))

    def _replace(self, actor: _Actor[ItemT], error: Exception) -> None:
        self._note(f"a worker died and is replaced: {error}")
        self._ready.remove(actor)
        actor.calls.clear()
        with suppress(Exception):  # it may only be out of reach
            self._ray.kill(actor.handle)
        self._start()

    def _value(self, reference: Any) -> Any:
        """The value of a call that ended. Raises what the worker raised, `_WorkerDiedError` where it died."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            if isinstance(cause, SurfacesError):
                raise cause from None
            if isinstance(cause, ModuleNotFoundError):
                raise MissingExtraError(
                    f"expected {cause.name} on every machine of the cluster; install the same extras there"
                ) from error
            raise
        except self._ray.exceptions.RayError as error:
            raise _WorkerDiedError(_last_line(error)) from error


class _WorkerDiedError(Exception):
    """A worker's process or machine ended."""


class _Process:
    """The actor. A worker is opened in a call, so that its errors arrive as they are."""

    def __init__(self, make: Callable[[], Worker[Any, Any]], folder: str) -> None:
        self._make, self._folder = make, folder

    def start(self) -> Any:
        """Opens the worker; returns its identity. Relative paths are those of the command, where its folder is here."""
        with suppress(OSError):
            os.chdir(self._folder)
        self._worker = self._make()
        return self._worker.identity

    def work(self, item: Any) -> Any:
        """Works on an item."""
        return self._worker.work(item)


def _capacity(ray: Any, settings: ClusterSettings) -> int:
    """How many workers the machines that are there can run at once."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    asked = {name: amount for name, amount in (("CPU", settings.cpus), ("GPU", settings.gpus)) if amount > 0}
    count = sum(min(int(found.get(name, 0) / amount) for name, amount in asked.items()) for found in resources)
    if not count:
        found = "; ".join(f"{one.get('CPU', 0):g} CPUs, {one.get('GPU', 0):g} GPUs" for one in resources)
        raise ClusterError(
            f"expected a machine with {settings.cpus:g} CPUs and {settings.gpus:g} GPUs for a worker, got {found};"
            " with --actors, the run waits for more machines"
        )
    return count


def _require_listening(address: str) -> None:
    """Ray itself would wait for minutes."""
    if address == "auto":
        return
    host, separator, port = address.rpartition(":")
    if not (separator and port.isascii() and port.isdigit()):
        raise ClusterError(f"expected a cluster's address such as 10.0.0.1:6379 or auto, got {brief(address)}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(f"expected a Ray cluster at {address}, nothing answers there: {error}") from error


def _last_line(error: Exception) -> str:
    """The line of a Ray error that says most: the last one of a traceback or of a list of facts."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].partition(". ")[0][:200] if lines else type(error).__name__
