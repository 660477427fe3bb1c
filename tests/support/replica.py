"""A service's replica: answers on `PORT` with its instance's name and process.

`POST /slow` is answered after three seconds; `/held` says how many of those it has.
"""

from __future__ import annotations

import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = os.environ["QUORATE_INSTANCE"].encode()
held = 0
lock = threading.Lock()


def hold(change: int) -> None:
    global held
    with lock:
        held += change


class Handler(BaseHTTPRequestHandler):
    # An answer is one write: one that was begun cannot be made up for when this process is killed.
    wbufsize = -1
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.answer(b"%d" % held if self.path == "/held" else b"%b %d" % (NAME, os.getpid()))

    def do_POST(self) -> None:
        hold(1)
        time.sleep(3.0)
        hold(-1)
        self.answer(b"%b %d" % (NAME, os.getpid()))

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    server.serve_forever()
