"""Moved to `surfaces.cli.commands`."""

from surfaces.cli.commands import escaped_terminal as escaped_terminal
