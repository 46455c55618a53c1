"""The browser of tests that look at pages, and where they leave pictures."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--force-color-profile=srgb"),
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ARTEFACTS = Path(os.environ.get("SCREENSHOTS", Path(__file__).parents[1] / "test-artifacts"))
"""Where screenshots and measurements of a run are left."""

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium: expected chromium, chromium-browser or google-chrome on PATH"
)
"""Skips before any fixture, such as a Label Studio, is installed or started."""
