"""Messages about the ends of tasks and jobs, on their way into the Txn of these, or behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.batch import weigh
from scheduler.core.broker import events as e
from scheduler.core.broker.handlers import announcing
from scheduler.core.broker.state import BrokerState
from scheduler.core.jobs.ended import publication
from scheduler.core.model.effects import Effects
from scheduler.core.model.effects.ended import Ended
from scheduler.engine.broker.ports import EncodedStep
from scheduler.engine.write_group import Beside


def by_virtual_host(announced: Sequence[Ended]) -> Iterator[tuple[str, list[e.Publication]]]:
    """The messages of each virtual host."""
    found: dict[str, list[e.Publication]] = {}
    for ended in announced:
        found.setdefault(ended.to.virtual_host, []).append(publication(ended))
    yield from found.items()


def beside(step: EncodedStep, tasks: Sequence[Put | Delete], made: Effects | None) -> Beside | None:
    """All that they write, with the tasks that they became; None for nothing."""
    ops = [*step.writes, *tasks]
    if not (ops or step.additions):
        return None
    return Beside(ops, step.additions, step.weight + weigh(tasks), made)


class Announced:
    """Those that wait for a commit of their own, in one term."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._fewer = asyncio.Event()
        self._closed = False

    def look(self) -> None:
        """Some may be written."""
        self._fewer.set()

    async def wait_few(self) -> None:
        """Wait while many wait; what makes many more does."""
        while announcing.is_busy(self._state) and not self._closed:
            self._fewer.clear()
            await self._fewer.wait()

    def close(self) -> None:
        """The term is over."""
        self._closed = True
        self._fewer.set()
