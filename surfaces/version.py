"""The project's version, as in `--version` and in the HTTP header `User-Agent`."""

VERSION = "0.2.0.dev0"
