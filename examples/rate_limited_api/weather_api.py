"""A small web API that answers 429 when it is called too often, as many public ones do.

    python examples/rate_limited_api/weather_api.py --per-second 60

It prints its address. In any second it answers at most `--per-second` calls. For each refused call
it counts one; `GET /statistics` has the count, and who called in which order.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Api(ThreadingHTTPServer):
    """The server and what it counts."""

    daemon_threads = True
    # Connections that wait to be accepted.
    request_queue_size = 128

    def __init__(self, per_second: int, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self._per_second = per_second
        self._lock = threading.Lock()
        # When the latest calls came: as many as one second may have.
        self._recent: deque[float] = deque(maxlen=per_second)
        self.refused = 0
        self.tenants: list[str] = []

    def accepts(self, tenant: str) -> bool:
        """Whether a call of this instant is within the rate."""
        now = time.monotonic()
        with self._lock:
            if len(self._recent) == self._per_second and now - self._recent[0] < 1.0:
                self.refused += 1
                return False
            self._recent.append(now)
            self.tenants.append(tenant)
            return True


class Handler(BaseHTTPRequestHandler):
    """One call."""

    server: Api

    def do_GET(self) -> None:
        """`/forecast?city=...&tenant=...`, or `/statistics`."""
        url = urlsplit(self.path)
        if url.path == "/statistics":
            self._answer(200, {"refused": self.server.refused, "tenants": self.server.tenants})
            return
        query = parse_qs(url.query)
        if not self.server.accepts(query["tenant"][0]):
            self._answer(429, {"error": "too many calls"})
            return
        # What a forecast takes.
        time.sleep(0.05)
        city = query["city"][0]
        self._answer(200, {"city": city, "degrees": sum(map(ord, city)) % 30})

    def _answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing for each call."""


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-second", type=int, default=60)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with Api(options.per_second, options.port) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
