"""The broker in one leader's term: events in, writes to the journal, effects after the commit.

```
 calls, sessions, timers --handle--> BrokerMachine.step --> encoder --> Journal (that of the term)
                                       ^    |   |                          |
   ChunksCommitted, before what  ------'    |   '-> now: deliveries        v  committed
   follows the commit                       v                replies, settlements that are durable
                                  chunks that are read back
```

It stands beside `scheduler.engine.driver.Driver`, with the same journal, clock and write admission:
messages and tasks wait for the same room, and are refused for the same reasons. `handle` is
synchronous: an event is stepped and encoded before anything else runs, so the order of events is
the order of the log; events of one turn of the loop are appended together. A large event is done in
parts, each with a commit of its own (`BrokerEffects.then`): a few at once, the others in turn with
everybody's events.

Nothing here runs while nobody uses messages.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import inf
from typing import Final

from quorate.etcd.journal.journal import Journal, JournalEnded, JournalError
from quorate.runtime.errors import ETCD_SPACE_LOW, QuorateError, exhausted, leader_lost
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.handlers import announcing
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.queues.totals import NO_SPACE
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.state import BrokerState, Space
from scheduler.core.broker.storage.format import Summary
from scheduler.core.broker.storage.places import SubLogName
from scheduler.core.handlers.tasks.from_messages import MessageTasks
from scheduler.core.model.effects import Effects
from scheduler.core.model.effects.ended import Ended
from scheduler.core.model.reply_token import Pending
from scheduler.engine.broker.chunk_reads import ChunkReads
from scheduler.engine.broker.ends import Announced, beside, by_virtual_host
from scheduler.engine.broker.group import BrokerGroup
from scheduler.engine.broker.outbox import Outbox
from scheduler.engine.broker.parts import Parts
from scheduler.engine.broker.ports import (
    BrokerEncoder,
    ChunksOf,
    EncodedStep,
    MessageSessions,
    NoSessions,
    StoredChunks,
)
from scheduler.engine.driver import Driver
from scheduler.engine.due_timer import DueTimer
from scheduler.engine.write_group import Beside

# Parts of large events that are done before others have the loop.
_PARTS_AT_ONCE: Final = 16


class BrokerDriver:
    """Drives one broker through one epoch.

    Args:
        machine: with the state as folded; `Elected` is the first event.
        driver: of the term: its journal, clock and write admission are used, and it ends first.
        encoder: encodes the machine's writes.
        stored: reads chunks back.
        trusted: whether the lease still lets this process dispatch and answer.
        max_txn_ops: operations one Txn may hold.
        full: why no new messages of so many bytes are taken; None when they are.
        plenty: whether etcd has plenty of space: small chunks are merged then.
        tasks: makes tasks of messages that are routed to task queues; None: there are none.
    """

    def __init__(
        self,
        machine: BrokerMachine,
        driver: Driver,
        encoder: BrokerEncoder,
        stored: StoredChunks,
        trusted: Callable[[], bool],
        max_txn_ops: int,
        *,
        full: Callable[[int], str | None] = lambda weight: None,
        plenty: Callable[[], bool] = lambda: True,
        tasks: MessageTasks | None = None,
    ) -> None:
        self.machine = machine
        self.tasks = tasks
        if tasks is not None:
            machine.state.tasks = tasks
        self.journal: Journal = driver.journal
        self.admission = driver.admission
        self._driver = driver
        self._clock = driver.clock
        self._encoder = encoder
        self._trusted = trusted
        self._full = full
        self._plenty = plenty
        self._announced = Announced(machine.state)
        driver.announce_ends(self._announce, self._announced.wait_few)
        self._group = BrokerGroup(self.journal, max_txn_ops, self._committed, self._failed)
        self._outbox = Outbox(NoSessions(), trusted)
        self._reads = ChunkReads(stored, self.handle)
        self._timer = DueTimer(self._due)
        self._parts = Parts()
        # Callers that wait, whatever their events wait for: as many as were admitted.
        self._tokens: dict[asyncio.Future[object], None] = {}
        self._flushing = False
        self._closed = False
        self._loop = asyncio.get_running_loop()

    @property
    def state(self) -> BrokerState:
        """The state; read it, change it only by events."""
        return self.machine.state

    def serve(self, sessions: MessageSessions) -> None:
        """From now on, what the sessions get goes there."""
        self._outbox.sessions = sessions

    # -- events

    def elected(self, orphans: Sequence[QueueUid] = ()) -> None:
        """The term begins.

        Args:
            orphans: queues that are gone, of which messages are left: these are deleted.
        """
        for delete in self._encoder.orphans(orphans):
            self.journal.append_purge([delete])
        self.handle((e.Elected(),))

    def handle(self, events: Iterable[object]) -> None:
        """Step events in order, and hand their writes to the journal.

        Whoever steps events of clients waits for `room` before.
        """
        now = self._clock.now()
        due = inf
        try:
            for event in events:
                due = self._step(event, now)
        except Exception as error:
            self._broken(error)
            raise
        if not self._flushing and self._group.some:
            self._flushing = True
            self._loop.call_soon(self.flush)
        if due != inf:
            self._timer.arm(due, now)

    async def call(
        self, make: Callable[[Pending[object]], object], weight: int = 0, *, publishes: bool = False
    ) -> object:
        """Step an event for a caller and wait for its answer.

        Args:
            make: makes the event, given the token that its Reply will carry.
            weight: bytes of what it asks to be kept; 0 for little.
            publishes: it adds messages: refused while etcd is nearly full.

        Raises:
            QuorateError: the machine's refusal. UNAVAILABLE when the term ended first: the outcome
                is unknown. RESOURCE_EXHAUSTED: nothing was done.
        """
        with self.admission.asked(weight):
            if publishes:
                self.refuse_when_full(weight)
            await self.admission.admit(weight)
            token = self.ask(make)
            return await self.admission.answer(token)

    def ask(self, make: Callable[[asyncio.Future[object]], object]) -> asyncio.Future[object]:
        """Step an event for a stream, at once; what its answer comes to. In the order of calls.

        The caller has waited for `room`, and asked `refuse_when_full` for messages.
        """
        token: asyncio.Future[object] = self._loop.create_future()
        if self._closed:
            token.set_exception(leader_lost())
            return token
        self._tokens[token] = None
        token.add_done_callback(lambda done: self._tokens.pop(done, None))
        self.handle((make(token),))
        return token

    def refuse_when_full(self, weight: int) -> None:
        """Raise RESOURCE_EXHAUSTED while etcd has no room for so many bytes of messages."""
        why = self._full(weight)
        if why is not None:
            raise exhausted(ETCD_SPACE_LOW, why)

    async def room(self) -> None:
        """Wait until another event may be stepped, however long.

        Raises:
            QuorateError: UNAVAILABLE: this process does not lead any longer.
        """
        await self._parts.wait_few()
        await self.admission.room()
        if self._closed:
            raise leader_lost()

    async def readable(self) -> None:
        """Wait until a caller may see what memory says: `WriteAdmission.readable`."""
        self.flush()
        await self._driver.readable()

    def flush(self) -> None:
        """Append what was stepped in this turn of the loop, ahead of what follows."""
        self._flushing = False
        try:
            self._group.flush()
        except Exception as error:
            self._broken(error)
            raise

    async def run(self) -> None:
        """Do what is done in the background, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reads.run(), name="broker reads")
            tasks.create_task(self._do_parts(), name="broker parts")

    # -- from step to journal

    def _broken(self, error: Exception) -> None:
        """Our bug, and memory is ahead of the log now: nobody may see it or build on it."""
        self.journal.abandon(JournalError(f"an event could not be handled: {error!r}"))
        # What was not appended yet fails with the rest.
        self._group.flush()

    def _step(self, event: object, now: float) -> float:
        """Step one event, and the parts that follow from it; when the next one is due."""
        out = self._one(event, now)
        following = deque(out.then)
        left = _PARTS_AT_ONCE
        while following:
            # Each part has a commit of its own, so that none is too large.
            self._group.flush()
            if not left or not self.journal.room:
                self._parts.add(following)
                break
            left -= 1
            out = self._one(following.popleft(), now)
            # What follows from a part goes ahead of the next one.
            following.extendleft(reversed(out.then))
        return out.next_due

    def _one(self, event: object, now: float) -> fx.BrokerEffects:
        state = self.state
        state.space = Space.PLENTY if self._plenty() else Space.NO_MERGES
        if self.journal.no_space:
            state.space = Space.NONE
        state.window.bodies.outgoing = self._outbox.outgoing
        out = self.machine.step(event, now)
        self._parts.heavy(state.bodies.is_heavy)
        self._outbox.committing(out.after)
        made = None if self.tasks is None else self.tasks.take()
        if out.writes or out.additions or made is not None:
            # What becomes a task goes in the Txn that has the task.
            space = made is not None or state.space is not Space.NONE
            step = self._encoder.encode(out, self._chunks_of, space=space)
            if made is None:
                self._group.add(step, out.after)
            else:
                self._add_tasks(step, out.after, made, now)
        elif out.after:
            self._group.follow(out.after)
        if out.now:
            self._now(out.now)
        return out

    def _add_tasks(
        self, step: EncodedStep, after: Sequence[fx.After], made: Effects, now: float
    ) -> None:
        """Messages became tasks in this step: one Txn has all of it. It is appended at once, so
        that nothing that is written of these tasks later comes before."""
        writes = self._driver.encode_beside(made, now)
        self._group.add(step, [fx.TasksDone(made.after), *after], writes)
        self._group.flush()
        self._driver.follow_beside(made, now)

    def _announce(self, announced: Sequence[Ended], now: float) -> Beside | None:
        """Messages about ends of tasks and jobs, for the Txn of these. Never waits."""
        state = self.state
        if self.journal.no_space or self._full(0) is not None:
            announcing.drop(state, len(announced), NO_SPACE)
            return None
        # What was stepped before has smaller numbers: it goes ahead.
        self.flush()
        out = self.machine.announce(by_virtual_host(announced), now)
        made = None if self.tasks is None else self.tasks.take()
        writes = [] if made is None else self._driver.encode_beside(made, now)
        self._parts.add(out.then)
        return beside(self._encoder.encode(out, self._chunks_of), writes, made)

    def _now(self, effects: Sequence[fx.Now]) -> None:
        sent: list[fx.Now] = []
        for effect in effects:
            if type(effect) is fx.LoadChunks:
                self._reads.load(effect)
            elif type(effect) is fx.LoadBody:
                self._reads.load_body(effect)
            elif type(effect) is fx.ReadToMerge:
                self._reads.merge(effect)
            else:
                sent.append(effect)
        if sent:
            self._outbox.send(sent)

    async def _do_parts(self) -> None:
        """Parts of large events, one at a time, as the journal has room."""
        while True:
            await self._parts.some()
            # Behind what is in flight, so that others' events do not wait behind many parts.
            await self.journal.wait_room()
            await self.journal.wait_short()
            self.handle((self._parts.take(),))
            self._announced.look()
            await asyncio.sleep(0)

    def _due(self) -> None:
        if self.journal.room:
            self.handle((e.TimePassed(),))
        else:
            self._parts.add((e.TimePassed(),))

    # -- after the commit

    def _chunks_of(self, uid: QueueUid, sub_log: SubLogName) -> ChunksOf:
        return partial(self._chunks_committed, uid, sub_log)

    def _chunks_committed(
        self,
        uid: QueueUid,
        sub_log: SubLogName,
        chunks: Sequence[tuple[Summary, bytes]],
        _revision: int,
    ) -> None:
        self.handle((e.ChunksCommitted(uid, sub_log, chunks),))

    def _committed(self, after: Sequence[fx.After], revision: int) -> None:
        self._outbox.committed(after)
        if not self._trusted():
            # As in `Driver`: what is dropped here was committed, so the term must not go on.
            self._failed(after, leader_lost())
            raise JournalEnded("the trust window passed before an effect")
        sent: list[fx.After] = []
        for effect in after:
            if type(effect) is fx.Reply:
                _answer(effect)
            elif type(effect) is fx.TasksDone:
                self._driver.done_beside(effect.effects, revision)
            elif type(effect) is fx.StepOnceCommitted:
                # In its place: what comes of it follows what was before it.
                self._outbox.send(sent)
                sent = []
                self.handle((effect.event,))
            else:
                sent.append(effect)
        if sent:
            self._outbox.send(sent)

    def _failed(self, after: Sequence[fx.After], _error: Exception) -> None:
        """Their writes are not known committed: callers learn that the outcome is unknown."""
        for effect in after:
            if type(effect) is fx.Reply and not effect.token.done():
                effect.token.set_exception(leader_lost())

    def close(self) -> None:
        """The term is over: nobody waits any longer. Before or after the driver of the term."""
        self._closed = True
        self._timer.close()
        self._outbox.close()
        self.journal.abandon(JournalEnded("the term is over"))
        self._group.flush()
        self._parts.close()
        self._announced.close()
        for token in list(self._tokens):
            if not token.done():
                token.set_exception(leader_lost())


def _answer(effect: fx.Reply) -> None:
    token, answer = effect.token, effect.answer
    # The caller may have gone away meanwhile.
    if token.done():
        return
    if isinstance(answer, QuorateError):
        token.set_exception(answer)
    else:
        token.set_result(answer)
