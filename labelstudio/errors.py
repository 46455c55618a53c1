"""Errors of Label Studio commands, one line each, with exit codes of their own."""

from __future__ import annotations

from surfaces.errors import SurfacesError


class ServerUnavailableError(SurfacesError):
    """The server does not answer, or breaks off; the same command resumes once it is back."""

    exit_code = 15


class TokenError(SurfacesError):
    """The server rejects the token."""

    exit_code = 16


class ProjectError(SurfacesError):
    """The project does not exist, or its labelling interface is not the one that `init` makes."""

    exit_code = 17


class AnnotationError(SurfacesError):
    """An annotation cannot be converted to labels: unknown label, polygon of two points, mask of another size."""

    exit_code = 18


class HostingError(SurfacesError):
    """The server cannot be made to show the photos."""

    exit_code = 19
