"""One leader's term for tests of the journal: election key, claimed journal, running task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.joined import Addition
from quorate.etcd.journal.journal import Journal
from quorate.runtime.timing.clock import Clock, SystemClock
from tests.support.fake_store import FakeStore

PREFIX = b"/quorate/test/"
HEAD = PREFIX + b"head"
LEADER_A = PREFIX + b"election/scheduler/a"


@dataclass
class Outcomes:
    """What became of the events, in the order in which it became known."""

    committed: list[tuple[str, int]] = field(default_factory=list)
    failed: list[tuple[str, Exception]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.committed]

    @property
    def failures(self) -> list[str]:
        return [name for name, _ in self.failed]

    def append(self, journal: Journal, name: str, *writes: Put | Delete) -> None:
        """Append one event and note what becomes of it."""
        journal.append(writes, *self._callbacks(name))

    def join(
        self,
        journal: Journal,
        name: str,
        additions: Sequence[Addition],
        *writes: Put | Delete,
    ) -> None:
        """Append one event that adds to joined writes, and note what becomes of it."""
        journal.append_joined(writes, additions, *self._callbacks(name))

    def purge(
        self, journal: Journal, name: str, *deletes: bytes | Delete, ahead: bool = True
    ) -> None:
        """Append one retention event; bytes stand for one key."""
        writes = [delete if isinstance(delete, Delete) else Delete(delete) for delete in deletes]
        journal.append_purge(writes, *self._callbacks(name), ahead=ahead)

    def _callbacks(self, name):
        def after(revision: int) -> None:
            self.committed.append((name, revision))
            self.changed.set()

        def failed(error: Exception) -> None:
            self.failed.append((name, error))
            self.changed.set()

        return after, failed

    async def until(self, *names: str) -> None:
        """Wait until exactly these events have committed."""
        async with asyncio.timeout(60):
            while len(self.names) < len(names):
                self.changed.clear()
                await self.changed.wait()
        assert self.names == list(names)


def stand(store: FakeStore, name: str, clock: Clock | None = None, **options) -> Journal:
    """A candidate that believes it leads: its key is in the store, nothing is claimed."""
    key = PREFIX + b"election/scheduler/" + name.encode()
    epoch = store.put(key)
    options.setdefault("stall_after", 5.0)
    return Journal(
        store,  # type: ignore[arg-type]
        prefix=PREFIX,
        leader_key=key,
        elected=epoch,
        clock=clock or SystemClock(),
        **options,
    )


@asynccontextmanager
async def running(journal: Journal) -> AsyncIterator[asyncio.Task]:
    """Run the committing task of a claimed journal; on leaving it is stopped and awaited."""
    task = asyncio.create_task(journal.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            # Retrieved here: the tests that expect an error look at the task before.
            task.exception()


async def ended(task: asyncio.Task) -> BaseException:
    """Wait for the committing task to end by itself; what it raised."""
    await asyncio.wait([task], timeout=60)
    assert task.done(), "the journal still runs"
    error = task.exception()
    assert error is not None
    return error


def put(name: str, value: bytes = b"v") -> Put:
    return Put(PREFIX + name.encode(), value)


async def claimed(store: FakeStore, **options) -> Journal:
    journal = stand(store, "a", **options)
    await journal.claim()
    store.sent.clear()
    store.applied.clear()
    return journal
