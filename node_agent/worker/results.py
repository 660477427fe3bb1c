"""The results that a reduce gets: an iterable that reads them page by page from the leader.

    reduce code --next()--> Results --position--> PageReader --"wanted"--> agent --> leader
                 <--value--          <--a page--             <--a page--

A page has about 1 MiB, or a single larger result. A worker holds one, whatever the number of
results, and uses it for the next reduce of its chunk too. Reading goes on through a failover: the
agent asks the next leader again.
"""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from node_agent.protocol.packets import MAX_PACKET, PAGE, VERDICT, read
from node_agent.protocol.replies import packets_of
from node_agent.worker.calls import Problem, from_json
from node_agent.worker.waits import LOOK_SECONDS

UNREADABLE = "RESULTS_NOT_READABLE"
# First position, whether pickles, values.
Run = tuple[int, bool, tuple[bytes, ...]]


class Page:
    """Results of the positions `first` to `end` - 1; what is in no run gave no value."""

    __slots__ = ("end", "first", "runs")

    def __init__(self, first: int, end: int, runs: tuple[Run, ...]) -> None:
        self.first, self.end, self.runs = first, end, runs

    def values(self, begin: int, end: int, empty: object) -> Iterator[Any]:
        """The values of positions that it has, in order. Raises Problem."""
        at = begin
        for first, pickled, values in self.runs:
            if first >= end:
                break
            for _ in range(at, first):
                yield empty
            at = max(at, first)
            decode = _from_pickle if pickled else _from_json
            for data in values[at - first : max(0, end - first)]:
                at += 1
                yield decode(data) if data else empty
        for _ in range(at, end):
            yield empty


class PageReader:
    """Asks the agent for pages, for one worker.

    Args:
        agent: the worker's socket.
        lock: held by whoever asks the agent and reads its answer.
    """

    def __init__(self, agent: socket.socket, lock: threading.Lock) -> None:
        self._agent = agent
        self._lock = lock
        self._process = os.getpid()
        # The piece that runs; 0 for none.
        self._key = 0
        self._number = 0
        self._page: Page | None = None

    def serve(self, key: int) -> None:
        """A piece of reduces begins; it may use the page of the piece before."""
        with self._lock:
            self._key = key

    def over(self) -> None:
        """It has ended: nothing is read any more."""
        with self._lock:
            self._key = 0

    def forget(self) -> None:
        """Its chunk has ended."""
        self._page = None

    def page(self, position: int) -> Page:
        """A page that has the result at a position. Raises Problem."""
        if os.getpid() != self._process:
            raise Problem(UNREADABLE, "a forked process cannot read the results of a reduce")
        with self._lock:
            page = self._page
            if page is None or not page.first <= position < page.end:
                if not self._key:
                    raise Problem(UNREADABLE, "the reduce that these results are for has ended")
                self._page = None
                page = self._page = self._read(position)
            return page

    def _read(self, position: int) -> Page:
        self._number += 1
        try:
            for packet in packets_of(self._key, float(self._number), float(position), ("wanted",)):
                self._agent.send(packet)
            number, first, end, runs, error = self._answer()
            while number != self._number:  # to a question that a signal handler ended
                number, first, end, runs, error = self._answer()
        except OSError as why:
            raise Problem(UNREADABLE, f"the agent does not answer: {why}") from None
        if error:
            raise Problem(UNREADABLE, error)
        if not first <= position < end:
            raise Problem(UNREADABLE, f"there is no result at position {position}")
        return Page(first, end, runs)

    def _answer(self) -> tuple[Any, ...]:
        while True:
            head = self._agent.recv(1, socket.MSG_PEEK)
            if not head:
                raise OSError("it is gone")
            if head == VERDICT:
                self._agent.recv(1)
            elif head != PAGE:
                time.sleep(LOOK_SECONDS)  # as in `Waits`
            else:
                return read(self._agent.recv(MAX_PACKET + 1)[1:])[0]


class Results:
    """The results that one reduce gets, in the order of the subtasks.

    `len()` is their number. Each `iter()` begins at the first one. Not after the reduce has ended.
    """

    __slots__ = ("_begin", "_empty", "_end", "_pages")

    def __init__(self, pages: PageReader, begin: int, end: int, empty: object) -> None:
        self._pages = pages
        self._begin, self._end = begin, end
        self._empty = empty

    def __len__(self) -> int:
        return self._end - self._begin

    def __iter__(self) -> Iterator[Any]:
        at = self._begin
        while at < self._end:
            page = self._pages.page(at)
            upto = min(page.end, self._end)
            yield from page.values(at, upto, self._empty)
            at = upto

    def __repr__(self) -> str:
        return f"<{len(self)} results>"


def results_of(pages: PageReader, position: int, reduce: tuple[int, int, bool]) -> Results:
    """What the reduce at a position gets."""
    count, fan_in, programs = reduce
    begin, end = (position * fan_in, (position + 1) * fan_in) if fan_in else (0, count)
    return Results(pages, min(begin, count), min(end, count), 0 if programs else None)


def _from_json(data: bytes) -> Any:
    try:
        return from_json(data.decode())
    except (ValueError, RecursionError) as error:
        raise Problem(UNREADABLE, f"a result is not JSON: {error}") from None


def _from_pickle(data: bytes) -> Any:
    try:
        return pickle.loads(data)
    except BaseException as error:  # noqa: BLE001 (unpickling runs user code)
        raise Problem(
            UNREADABLE, f"a result does not load here: {type(error).__name__}: {error}"
        ) from None
