"""The client of this process: for functions and handles that were given none.

Opened when first asked for (address as in `Client()`), closed at exit. A forked child opens its
own: gRPC's threads are not in it.
"""

from __future__ import annotations

import atexit
import os
import threading

import quorate

_lock = threading.Lock()
_client: quorate.Client | None = None
_owner = 0


def process_client() -> quorate.Client:
    """The client of this process."""
    global _client, _owner
    with _lock:
        if _client is None or _owner != os.getpid():
            _client, _owner = quorate.Client(), os.getpid()
            atexit.register(_client.close)
        return _client
