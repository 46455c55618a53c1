"""Errors that end in one line for the user, each kind with an exit code of its own."""

from __future__ import annotations


class SurfacesError(Exception):
    """Base of all errors whose message is meant for the user.

    Attributes:
        exit_code: what a command exits with when it stops on this error. 1 is left to Python, 2 to bad arguments.
    """

    exit_code = 3


class FetchError(SurfacesError):
    """The photo could not be downloaded: bad address, no answer, HTTP error, too large."""

    exit_code = 4


class DecodeError(SurfacesError):
    """The bytes are not a photo that can be used: empty, not an image, truncated, too small, too large."""

    exit_code = 5


class NotAnImageError(DecodeError, TypeError, ValueError):
    """What a caller in Python gave is neither a photo nor its path: another type, shape or kind of pixels."""


class OutputError(SurfacesError):
    """The result could not be written: no permission, not a folder, disk full."""

    exit_code = 6


class WeightsError(SurfacesError):
    """The network's weights are missing or are not the expected ones."""

    exit_code = 7


class DatasetError(SurfacesError):
    """A dataset folder or file is not as expected."""

    exit_code = 8


class MissingExtraError(SurfacesError):
    """An optional part of the package is needed and not installed."""

    exit_code = 9
