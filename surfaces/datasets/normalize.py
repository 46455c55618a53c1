"""Moved to `surfaces.images.encode`."""

from surfaces.images.encode import normalize_photo as normalize_photo
