"""Programs that are started as if they were label-studio."""

from __future__ import annotations

import time
from collections.abc import Callable

ANSWERS = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({whoami} if "whoami" in self.path else 200)
        self.end_headers()
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
HANGS = "import time\nprint('migrating', flush=True)\nprint('', flush=True)\ntime.sleep(60)"


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
