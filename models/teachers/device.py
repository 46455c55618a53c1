"""Where a teacher computes."""

from __future__ import annotations

import torch

from surfaces.errors import SurfacesError


class DeviceError(SurfacesError):
    """The device that was asked for is not there."""

    exit_code = 13


def pick_device(name: str | None = None) -> torch.device:
    """The device of a name; a GPU where there is one and none was named.

    Args:
        name: as torch names them: `cpu`, `cuda`, `cuda:1`.

    Raises:
        DeviceError: no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise DeviceError(f"expected a device of this machine, got {name!r}: {str(error).splitlines()[0]}") from error
    return device
