"""The project's version, as in `--version` and in the HTTP header `User-Agent`."""

VERSION = "0.1.0"
