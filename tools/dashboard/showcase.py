"""What runs on the cluster of `make screenshots`: functions that look like somebody's work.

As a program it is a service: a shop that answers after some milliseconds.
"""

from __future__ import annotations

import os
import random
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def send_mail(number: int) -> dict[str, object]:
    """Short; some recipients do not exist."""
    time.sleep(random.uniform(0.01, 0.12))
    if number % 29 == 0:
        raise LookupError(f"mailbox of customer {number} does not exist")
    return {"customer": number, "message_id": f"<{number:08x}@mail.example>"}


def render_thumbnail(number: int) -> dict[str, object]:
    """A little longer."""
    time.sleep(random.uniform(0.05, 0.4))
    return {"picture": f"pictures/{number}.jpg", "width": 320, "height": 200}


def quarterly_report(pages: int) -> dict[str, object]:
    """Writes a log while it runs; its last table is wrong."""
    totals: dict[str, float] = {}
    for page in range(1, pages + 1):
        print(f"\x1b[2m{time.strftime('%H:%M:%S')}\x1b[0m page {page} of {pages}", flush=True)
        if page % 5 == 0:
            print(f"\x1b[33mpage {page} has no figures for the south\x1b[0m", file=sys.stderr)
        time.sleep(0.35)
        totals[f"page {page}"] = round(random.uniform(1_000, 9_000), 2)
    if pages % 2:
        raise ValueError(f"the totals of {pages} pages differ from the ledger by 12.40")
    return {"pages": pages, "totals": totals}


class Shop(BaseHTTPRequestHandler):
    """Says ok to everybody."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(random.uniform(0.001, 0.03))
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, format: str, *words: object) -> None:
        """Not each request."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Shop).serve_forever()
