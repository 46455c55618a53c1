"""What this machine gives to a process."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(cgroup: Path = _CGROUP) -> int:
    """How many CPUs this process may use: of those it is bound to, what its container's quota leaves.

    Args:
        cgroup: where the kernel shows the quota, version 1 or 2.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(bound, _quota(cgroup))))


def _quota(cgroup: Path) -> float:
    """CPUs that a container may use on average; infinite where nothing limits it."""
    try:
        if (cgroup / "cpu.max").is_file():
            share, period = (cgroup / "cpu.max").read_text().split()
        else:
            share, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(share) / float(period) if float(share) > 0 else math.inf
    except (OSError, ValueError):  # no cgroups, or "max"
        return math.inf
