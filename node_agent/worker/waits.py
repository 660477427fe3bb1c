"""Tells the agent that a call waits for other tasks, and that it goes on.

A call waits while at least one of its threads or coroutines waits inside
`quorate.client.tracking.waiting`; another one that computes meanwhile is not counted. When the call
ends, so do its waits, also those of threads that it left behind. If such a thread waits again
later, it counts as a wait of the call that runs then. A forked child is no worker, and tells
nobody.

The worker asks before it waits, and reads the verdict from the socket where attempts come from. It
receives nothing else there: attempts that were sent ahead belong to the agent, which takes them
back before it answers.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

from node_agent.protocol.packets import PAGE, VERDICT, verdict_of
from node_agent.protocol.replies import packets_of
from quorate.client.tracking.waiting import TooManyWait

# Between two looks for the verdict while attempts are still ahead of it.
LOOK_SECONDS = 0.001


class Waits:
    """One worker's waits; a `quorate.client.tracking.waiting.Host`.

    Args:
        agent: the worker's socket.
        lock: held by whoever asks the agent and reads its answer.
    """

    def __init__(self, agent: socket.socket, lock: threading.Lock | None = None) -> None:
        self._agent = agent
        self._process = os.getpid()
        self._lock = lock or threading.Lock()
        # The call that runs; 0 for none.
        self._key = 0
        self._on_wait: Callable[[], None] | None = None
        # Its waits that are under way.
        self._count = 0
        # The last wait that the agent was asked about.
        self._number = 0

    @property
    def key(self) -> int:
        """The call that runs; 0 for none."""
        return self._key

    def serve(self, key: int, on_wait: Callable[[], None] | None = None) -> None:
        """A call begins; `on_wait` is called before the agent learns of a wait."""
        self._key = key
        self._on_wait = on_wait

    def over(self) -> None:
        """It has ended. From now on nothing is sent, as the answer is next."""
        with self._lock:
            self._key = 0
            self._count = 0

    def begin(self) -> int:
        """See `quorate.client.tracking.waiting.Host`: the key of the call."""
        if os.getpid() != self._process:
            return 0
        with self._lock:
            if self._key and not self._count:
                self._ask(self._key)
            self._count += 1
            return self._key

    def end(self, wait: int) -> None:
        """See `quorate.client.tracking.waiting.Host`."""
        if not wait or os.getpid() != self._process:
            return
        with self._lock:
            if wait != self._key:
                return  # of a call that is over
            self._count -= 1
            if not self._count:
                self._say("resumed")

    def _ask(self, key: int) -> None:
        self._number += 1
        if self._on_wait is not None:
            self._on_wait()
        try:
            self._say("yielded")
            limit = self._verdict(self._number)
        except BaseException:
            # Of a signal handler of the call's: the verdict may still come, and is skipped then.
            self._say("resumed")
            raise
        if limit:
            raise TooManyWait(limit)

    def _say(self, sign: str) -> None:
        try:
            for packet in packets_of(self._key, float(self._number), 0.0, (sign,)):
                self._agent.send(packet)
        except OSError:
            pass  # the agent is gone, or user code has closed the socket: it notices

    def _verdict(self, number: int) -> int:
        """The verdict on a wait: 0, or the limit that forbids it."""
        while True:
            try:
                head = self._agent.recv(1, socket.MSG_PEEK)
            except OSError:
                return 0
            if not head:
                return 0  # the agent is gone
            if head == PAGE:
                # Nobody waits for it any more.
                self._agent.recv(1)
                continue
            if head != VERDICT:
                time.sleep(LOOK_SECONDS)
                continue
            answered, limit = verdict_of(self._agent.recv(64))
            if answered == number:
                return limit
