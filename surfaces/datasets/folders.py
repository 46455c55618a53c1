"""Moved to `surfaces.io.atomic_files`."""

from surfaces.io.atomic_files import new_folder as new_folder
from surfaces.io.atomic_files import require_outside as require_outside
