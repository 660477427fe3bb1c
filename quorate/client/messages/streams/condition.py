"""The condition of a producer or a consumer, which belongs to the process of its thread.

`os.fork` copies neither the thread nor gRPC's: in the child nobody would send what is added, or
wake who waits. So there each use raises.
"""

from __future__ import annotations

import os
import threading

from quorate.runtime.errors import precondition


class ProcessCondition(threading.Condition):
    """A condition that raises when it is entered in a child process.

    Args:
        what: whose it is: "producer", "consumer".
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what
        # Of its thread; 0: there is none yet, and any process may start it.
        self._pid = 0

    def started(self) -> None:
        """Its thread runs in this process."""
        self._pid = os.getpid()

    @property
    def is_forked(self) -> bool:
        """Whether its thread runs in another process."""
        return self._pid not in (0, os.getpid())

    def __enter__(self) -> bool:
        """Raises QuorateError: its thread runs in another process."""
        # Before the lock: a thread that does not exist here may have it.
        if self.is_forked:
            raise precondition(
                "FORKED",
                f"this {self._what} belongs to process {self._pid}, and this is a child process "
                f"({os.getpid()}); make a client in each process",
            )
        return super().__enter__()
