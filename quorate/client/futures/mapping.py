"""`Executor.map` as an array, submitted at once by a thread of its own.

As with `concurrent.futures`, the values can be taken after the executor was shut down, when its
client is closed: the thread reads them as they come. Memory: the values that nobody has taken yet.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import Any

from quorate.client.errors import TaskCancelled
from quorate.client.futures.dispatch import Dispatch, MapThread
from quorate.client.mapping.mapper import run_map
from quorate.client.mapping.plan import MapPlan
from quorate.client.maps.plan import ArrayPlan
from quorate.client.maps.run import ArrayMap, Control, Stopped
from quorate.client.tracking.waiting import take
from quorate.client.work.options import TaskOptions
from quorate.client.work.specs import Work

_VALUE, _ERROR, _END = range(3)
_Arrived = queue.SimpleQueue[tuple[int, Any]]


def map_eagerly(
    dispatch: Dispatch,
    plan: ArrayPlan,
    work: Work,
    options: TaskOptions,
    end: float | None,
    *,
    limit: int,
) -> Iterator[Any]:
    """Begin a map, and give its values as they come.

    Args:
        end: TimeoutError from then on (monotonic).
        limit: bytes of one payload.
    """
    client = dispatch.client
    control, arrived = Control(), _Arrived()

    def as_tasks(rest: Iterable[Any]) -> Iterator[Any]:
        tasks = MapPlan.of(
            work,
            rest,
            options,
            limit=limit,
            chunk=None,
            star=True,
            large=client.calls.large.get,
        )
        return run_map(client.calls, client.tracker(options.queue), tasks, None)

    made = ArrayMap(client.calls, plan, options.queue, as_tasks, control=control)
    dispatch.begin(_Thread(made, control, arrived))
    return _values(control, arrived, end)


class _Thread:
    """A `MapThread`."""

    def __init__(self, made: ArrayMap, control: Control, arrived: _Arrived) -> None:
        self._made = made
        self._control = control
        self._arrived = arrived
        self._ended: Callable[[MapThread], object] = lambda _: None

    def start(self, ended: Callable[[MapThread], object]) -> None:
        self._ended = ended
        threading.Thread(target=self._run, name="quorate-map", daemon=True).start()

    def recall(self) -> None:
        self._control.ask()

    def _run(self) -> None:
        last: tuple[int, Any] = (_END, None)
        try:
            for value in self._made.values():
                self._arrived.put((_VALUE, value))
                del value
            if self._control.recalled and self._made.cut:
                last = (_ERROR, CancelledError())
        except Stopped:
            pass
        except TaskCancelled as error:
            last = (_ERROR, CancelledError() if self._control.recalled else error)
        except BaseException as error:  # noqa: BLE001 - it is raised where the values are taken
            last = (_ERROR, error)
        finally:
            self._ended(self)
        self._arrived.put(last)


def _values(control: Control, arrived: _Arrived, end: float | None) -> Iterator[Any]:
    """Values in order; the rest is cancelled when the caller stops or something fails."""
    try:
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            try:
                kind, value = take(arrived, left)
            except queue.Empty:
                raise TimeoutError from None
            if kind == _END:
                return
            if kind == _ERROR:
                raise value
            # Nothing here refers to what is handed out: it may be large.
            held = [value]
            del value
            yield held.pop()
    finally:
        control.ask(stop=True)
