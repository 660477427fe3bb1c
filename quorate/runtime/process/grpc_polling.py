"""Which thread of gRPC waits for the network, in the processes of the cluster.

In grpcio 1.85 a pool of its own threads does (its "event engine"), and hands what arrived to the
thread that asked for it. Where that thread would wait anyway, as in `grpc.aio`, the hand-over is a
waking of a thread more for each message: docs/adr/0023 has what it costs. Both ways are in gRPC; an
experiment of its configuration chooses, which is read once, when `grpc` is loaded.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_NAME: Final = "GRPC_EXPERIMENTS"
# Of grpcio that was measured: a later one may not know these names, and would complain.
_VERSION: Final = '__version__ = """1.85.'
_OFF: Final = "-event_engine_client,-event_engine_listener"


def poll_where_it_is_awaited() -> None:
    """To be called before `grpc` is loaded. Whoever has set `GRPC_EXPERIMENTS` keeps that.

    Not put into `os.environ`: it is for this process, not for the tasks of an agent.
    """
    if _NAME not in os.environ and _is_known():
        os.putenv(_NAME, _OFF)


def forget() -> None:
    """`grpc` is loaded: no process that is started from here gets the choice."""
    if _NAME not in os.environ:
        os.unsetenv(_NAME)


def _is_known() -> bool:
    """Read from its file, which takes a hundredth of the time of `importlib.metadata`."""
    found = find_spec("grpc")
    if found is None or found.origin is None:
        return False
    try:
        return _VERSION in Path(found.origin).with_name("_grpcio_metadata.py").read_text("utf-8")
    except OSError:
        return False
