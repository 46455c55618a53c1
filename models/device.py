"""The device that a network computes on."""

from __future__ import annotations

import torch

from surfaces.errors import DeviceError


def pick_device(name: str | None = None) -> torch.device:
    """The named torch device (`cpu`, `cuda`, `cuda:1`); for None and `auto` a GPU if there is one.

    Raises:
        DeviceError: this machine has no such device.
    """
    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch built without CUDA asserts
        raise DeviceError(f"expected a device of this machine, got {name!r}: {str(error).splitlines()[0]}") from error
    return device
