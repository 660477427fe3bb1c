"""Filters and scores of placement that other packages bring: loaded once, called within bounds.

Packages name them as entry points of the groups `quorate.placement_filters` and
`quorate.placement_scores`. What they get is `quorate.placement`. They run in the leader's loop,
which must not stand still: its lease would end. So

* a call that takes longer than `CALL_SECONDS` is interrupted (by a timer signal, which ends Python
  code and sleeps, but no call into C that never returns to Python);
* the calls of one plug-in together have `SHARE` of each second; past that it is not asked until the
  second is over;
* whatever it raises, or an answer of the wrong type, counts as a failure.

A filter that fails, or is not asked, refuses the node: a rule that cannot be evaluated does not
hold. ExplainTask says so. A score that fails is 0: all nodes are alike to it. Both are counted, and
logged at most once a minute for each plug-in.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from types import FrameType
from typing import Any, Final

import structlog

from quorate import placement
from scheduler.core.model.plugins import Filter, Plugins, Score
from scheduler.core.model.rows import NodeRow, TaskRow

CALL_SECONDS: Final = 0.02
SHARE: Final = 0.1
_LOGGED_EVERY: Final = 60.0

log = structlog.get_logger(__name__)

# (name, why) of a failure: "raised", "slow", "busy", "answer", "load".
Failed = Callable[[str, str], None]


class _TooSlow(BaseException):
    """A call took too long. No Exception: a plug-in that catches those must not catch it."""


def load_plugins(
    failed: Failed,
    found: Callable[[str], Iterable[EntryPoint]] = lambda group: entry_points(group=group),
    monotonic: Callable[[], float] = time.monotonic,
) -> Plugins:
    """The plug-ins of the packages that are installed; those that cannot be loaded fail when asked.

    Args:
        failed: called with each failure.
        found: the entry points of a group.
    """
    bounds = _Bounds(monotonic)
    guards = {
        group: {
            entry.name: _Guard(entry.name, _load(entry, failed), failed, bounds, monotonic)
            for entry in found(group)
        }
        for group in (placement.FILTERS, placement.SCORES)
    }
    for group, loaded in guards.items():
        if loaded:
            log.info("placement_plugins_loaded", group=group, names=sorted(loaded))
    return Plugins(
        {name: _filter(guard) for name, guard in guards[placement.FILTERS].items()},
        {name: _score(guard) for name, guard in guards[placement.SCORES].items()},
    )


def _load(entry: EntryPoint, failed: Failed) -> Callable[..., Any]:
    try:
        function = entry.load()
        if not callable(function):
            raise TypeError(f"{entry.value} is not callable")
    except Exception as error:  # noqa: BLE001 - importing a foreign module may raise anything
        log.error("placement_plugin_not_loaded", plugin=entry.name, error=repr(error)[:500])
        failed(entry.name, "load")
        why = f"it could not be loaded: {type(error).__name__}"

        def broken(task: placement.Task, node: placement.Node) -> Any:
            raise RuntimeError(why)

        return broken
    return function  # type: ignore[no-any-return]


class _Bounds:
    """The timer signal, where this thread may have one: else calls are only measured."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._inside = False
        self._before: Any = None
        self.usable = threading.current_thread() is threading.main_thread()
        if self.usable:
            signal.signal(signal.SIGALRM, self._late)

    def _late(self, number: int, frame: FrameType | None) -> None:
        if self._inside:
            raise _TooSlow

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """What it returns. Raises _TooSlow, and whatever it raises."""
        if not self.usable or threading.current_thread() is not threading.main_thread():
            began = self._monotonic()
            value = function(*arguments)
            if self._monotonic() - began > CALL_SECONDS:
                raise _TooSlow
            return value
        try:
            try:
                self._inside = True
                # Again and again: what it does last may catch the first one.
                signal.setitimer(signal.ITIMER_REAL, CALL_SECONDS, CALL_SECONDS)
                return function(*arguments)
            finally:
                self._inside = False
        finally:
            # Also when the signal came on the line above.
            self._inside = False
            signal.setitimer(signal.ITIMER_REAL, 0.0)


class _Guard:
    """One plug-in: what it may still use of this second, and its failures."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        failed: Failed,
        bounds: _Bounds,
        monotonic: Callable[[], float],
    ) -> None:
        self.name = name
        self._function = function
        self._failed = failed
        self._bounds = bounds
        self._monotonic = monotonic
        self._second = self._used = 0.0
        self._logged = -math.inf

    def ask(self, row: TaskRow, node: NodeRow) -> tuple[Any, str]:
        """(its answer, why it failed or "")."""
        began = self._monotonic()
        if began - self._second >= 1.0:
            self._second, self._used = began, 0.0
        if self._used >= SHARE:
            self._failed(self.name, "busy")
            return None, f"it has used its {SHARE * 1e3:.0f} ms of this second"
        try:
            return self._bounds.call(self._function, _task(row), _node(node)), ""
        except _TooSlow:
            # It is not asked again in this second.
            self._used = SHARE
            return None, self._note("slow", f"it took longer than {CALL_SECONDS * 1e3:.0f} ms")
        except Exception as error:  # noqa: BLE001 - foreign code may raise anything
            text = " ".join(str(error).split())[:200]
            return None, self._note("raised", f"it failed with {type(error).__name__}: {text}")
        finally:
            self._used += self._monotonic() - began

    def wrong(self, answer: object, wanted: str) -> str:
        """An answer of the wrong type."""
        return self._note("answer", f"it answered {repr(answer)[:80]}, not {wanted}")

    def _note(self, kind: str, why: str) -> str:
        self._failed(self.name, kind)
        now = self._monotonic()
        if now - self._logged >= _LOGGED_EVERY:
            self._logged = now
            log.warning("placement_plugin_failed", plugin=self.name, why=why)
        return why


def _filter(guard: _Guard) -> Filter:
    def rejection(row: TaskRow, node: NodeRow) -> str:
        answer, why = guard.ask(row, node)
        if why:
            return why
        if answer is True:
            return ""
        if answer is False:
            return "it refuses the node"
        if isinstance(answer, str):
            return " ".join(answer.split())[:200] or "it refuses the node"
        return guard.wrong(answer, "True, False or a text")

    return rejection


def _score(guard: _Guard) -> Score:
    def score(row: TaskRow, node: NodeRow) -> float:
        answer, why = guard.ask(row, node)
        if why:
            return 0.0
        if isinstance(answer, int | float) and math.isfinite(answer):
            return float(answer)
        guard.wrong(answer, "a finite number")
        return 0.0

    return score


def _task(row: TaskRow) -> placement.Task:
    needs = row.needs
    return placement.Task(
        row.id,
        row.queue.name,
        row.priority,
        dict(row.labels),
        row.tenant,
        row.affinity,
        needs.cpu,
        needs.memory,
        dict(needs.counters),
    )


def _node(node: NodeRow) -> placement.Node:
    allocation = node.allocation
    return placement.Node(
        node.name,
        dict(node.labels),
        node.slots,
        len(allocation.rows),
        node.cpu,
        allocation.cpu,
        node.memory,
        allocation.memory,
        dict(node.counters),
        dict(allocation.counters),
        node.stats.cpu,
    )
