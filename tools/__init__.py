"""Programs that made the documents' numbers and pages, run as `python -m tools.NAME`; not installed."""

import os

# Spinning threads slow each other down tenfold on a shared CPU; read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
