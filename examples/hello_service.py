"""A service: a small HTTP server that tells which instance answered.

Three replicas of it, kept running on the nodes:

    quorate service create hello --replicas 3 --health-http /healthz -- python hello_service.py

The agent gives each replica a port of its own (`PORT`) and its id (`QUORATE_INSTANCE`). Told to end
(SIGTERM), it takes no more requests and finishes those that it has. `/slow` takes a second, to see
just that.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType

INSTANCE = os.environ.get("QUORATE_INSTANCE", "nobody")


class Hello(BaseHTTPRequestHandler):
    """Answers GET."""

    protocol_version = "HTTP/1.1"
    # An idle connection is given up, so that it does not hold up the end.
    timeout = 5

    def do_GET(self) -> None:
        """Say who answers."""
        path = self.path.partition("?")[0]
        if path == "/slow":
            time.sleep(1)
        if path == "/healthz":
            self._answer(200, "ok\n")
        elif path in ("/", "/slow"):
            self._answer(200, f"{INSTANCE}\n")
        else:
            self._answer(404, "there is no such page\n")

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.server.stopping:  # type: ignore[attr-defined]
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Health checks every second would fill the log."""


class Server(ThreadingHTTPServer):
    """Ends when its requests are answered."""

    # Threads with requests are waited for by `server_close`.
    daemon_threads = False
    request_queue_size = 128
    stopping = False


def main() -> None:
    """Serve until SIGTERM."""
    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000")))
    with Server(address, Hello) as server:

        def stop(number: int, frame: FrameType | None) -> None:
            server.stopping = True
            # From another thread: `shutdown` waits for the loop that this one runs.
            threading.Thread(target=server.shutdown).start()

        signal.signal(signal.SIGTERM, stop)
        print(f"instance {INSTANCE} at {address[0]}:{address[1]}", flush=True)
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
