"""Object storage on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
import pytest


@contextmanager
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """S3 emulated by moto, configured by environment variables for this process and its children; its address.

    Servers of one process share their buckets. Skips the test where s3fs or moto is not installed.
    """
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    moto = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    place = {"ENDPOINT_URL": endpoint, "DEFAULT_REGION": "us-east-1"}
    for name, value in (place | {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    try:
        yield endpoint
    finally:
        server.stop()
