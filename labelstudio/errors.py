"""What can go wrong between this machine and a Label Studio server; one line each, with exit codes of their own."""

from __future__ import annotations

from surfaces.errors import SurfacesError


class ServerUnavailableError(SurfacesError):
    """The server does not answer, or breaks off; the same command goes on once it is back."""

    exit_code = 15


class TokenError(SurfacesError):
    """The server does not take the token."""

    exit_code = 16


class ProjectError(SurfacesError):
    """The project is not there, or its labelling interface is not the one that `init` makes."""

    exit_code = 17


class AnnotationError(SurfacesError):
    """An annotation cannot become labels: a label nobody knows, a polygon of two points, a mask of another size."""

    exit_code = 18


class DeliveryError(SurfacesError):
    """The server cannot be brought to show the photos."""

    exit_code = 19


class AccessError(SurfacesError):
    """Strangers could reach what a command is about to start, and nothing keeps them out."""

    exit_code = 27
