"""Errors with a one-line message for the user, each kind with its own exit code."""

from __future__ import annotations


class SurfacesError(Exception):
    """Base of all errors whose message is meant for the user; a command that stops on one exits with `exit_code`."""

    exit_code = 3


class FetchError(SurfacesError):
    """A photo cannot be downloaded or read: bad URL, no response, HTTP error, too large."""

    exit_code = 4


class DecodeError(SurfacesError):
    """The bytes are not a usable photo: empty, not an image, truncated, too small, too large."""

    exit_code = 5


class NotAnImageError(DecodeError, TypeError, ValueError):
    """A value passed from Python is neither an image nor a path: wrong type, shape or dtype."""


class OutputError(SurfacesError):
    """A result cannot be written: no permission, not a folder, disk full."""

    exit_code = 6


class WeightsError(SurfacesError):
    """A network's weights are missing or not the expected ones."""

    exit_code = 7


class DatasetError(SurfacesError):
    """A dataset's folder or file is invalid."""

    exit_code = 8


class MissingExtraError(SurfacesError):
    """A package of an optional extra is needed and not installed."""

    exit_code = 9


class DeviceError(SurfacesError):
    """The requested device is not available."""

    exit_code = 13


class AccessError(SurfacesError):
    """Others could reach a server that a command is about to start, and no secret protects it."""

    exit_code = 27
