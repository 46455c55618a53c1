"""The version of the project, as `--version` prints it and downloads announce it."""

VERSION = "0.1.0"
