"""One session with a leader: its requests into the driver, the driver's reports back.

At most one session is open. It ends when the leader hangs up, or when a leader with a higher epoch
(or the same leader again) opens another. Ending a session ends no attempt: reports gather in the
outbox for the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import grpc
import structlog

from node_agent.core.attempts import Ref
from node_agent.core.epochs import StaleEpoch
from node_agent.engine.driver import Driver
from node_agent.session import chunk_messages as chunk_wire
from node_agent.session import messages as wire
from node_agent.session.chunk_messages import Templates
from node_agent.session.leader_check import LeaderCheck
from node_agent.session.outgoing import Outgoing
from quorate.runtime.errors import QuorateError, invalid, precondition
from quorate.runtime.ids import Epoch
from quorate.runtime.timing.clock import Clock
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import node_pb2

_log = structlog.get_logger("node_agent.session")

# A leader that connects says hello at once.
HELLO_SECONDS = 10.0
# Missing in the stubs.
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]


class Sessions:
    """Who may talk to this node, and who does.

    Args:
        check: whether a hello is the leader's; None: whoever reaches this process is believed.

    Attributes:
        instance: this process's id; another one is refused.
        stats: the newest measurements; sent first in a new session.
        leaving: whether a scale-down may end this node, as the latest leader said. For the probes;
            whatever is assigned is run.
    """

    def __init__(
        self, driver: Driver, clock: Clock, instance: str, check: LeaderCheck | None = None
    ) -> None:
        self.instance = instance
        self._is_leader = check
        self.stats: node_pb2.NodeStats | None = None
        self.scaling_down = False
        self._driver = driver
        self._clock = clock
        self._current: _Session | None = None

    def report_stats(self, stats: node_pb2.NodeStats) -> None:
        """Tell the leader, now or in the next session."""
        stats.yielded = self._driver.machine.slots.yielded
        self.stats = stats
        self._driver.send_stats(stats)

    async def serve(self, context: Any) -> None:
        """Serve one Session RPC to its end. Raises the QuorateError that the leader gets."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                first = await context.read()
        except TimeoutError:
            raise QuorateError(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                "NO_HELLO",
                f"no hello arrived within {HELLO_SECONDS:g} s",
            ) from None
        if first is _EOF:
            return
        epoch = Epoch(first.epoch)
        self._check_epoch(epoch)
        if not first.HasField("hello"):
            raise invalid("hello", "is required in the first message")
        if first.hello.instance != self.instance:
            raise _mismatch()
        if self._is_leader is not None:
            await self._is_leader(epoch, first.hello.proof, self.instance)
            # Another one may have come meanwhile, or this process is another instance by now.
            self._check_epoch(epoch)
            if first.hello.instance != self.instance:
                raise _mismatch()
        if self._current is not None:
            self._current.end(
                _stale(StaleEpoch(self._current.epoch, epoch))
                if epoch > self._current.epoch
                else precondition("SESSION_REPLACED", "the leader opened another session")
            )
        session = _Session(self._driver, self._clock, self.instance, epoch, self._on_scaling_down)
        self._current = session
        self._on_scaling_down(first.hello.leaving)
        _log.info("session_opened", leader=first.hello.leader, epoch=epoch)
        try:
            await session.serve(context, first, self.stats)
        finally:
            if self._current is session:
                self._current = None
            session.close()
            _log.info("session_closed", leader=first.hello.leader, epoch=epoch)

    async def until_left(self, patience: float) -> None:
        """Wait until no leader has a session, for `patience` seconds at most."""
        if self._current is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._current.closed.wait()

    def _on_scaling_down(self, scaling_down: bool) -> None:
        if scaling_down != self.scaling_down:
            self.scaling_down = scaling_down
            _log.info("scaling_down" if scaling_down else "scaling_down_revoked")

    def _check_epoch(self, epoch: Epoch) -> None:
        try:
            self._driver.machine.check_epoch(epoch)
        except StaleEpoch as stale:
            raise _stale(stale) from None


class _Session:
    """The reader, the writer, and what ends both."""

    def __init__(
        self,
        driver: Driver,
        clock: Clock,
        instance: str,
        epoch: Epoch,
        on_scaling_down: Callable[[bool], None],
    ) -> None:
        self.epoch = epoch
        self._on_scaling_down = on_scaling_down
        self._driver = driver
        self._clock = clock
        self._outgoing = Outgoing(instance)
        self._templates = Templates()
        self.closed = asyncio.Event()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self, why: QuorateError) -> None:
        """End it from outside; from now on it neither hears nor says anything."""
        self.close()
        if not self._ended.done():
            self._ended.set_exception(why)

    def close(self) -> None:
        """Detach from the driver."""
        self.closed.set()
        self._driver.close_session(self._outgoing)

    async def serve(
        self, context: Any, first: pb.SessionRequest, stats: node_pb2.NodeStats | None
    ) -> None:
        inventory = self._driver.open_session(self.epoch, self._outgoing)
        answer = self._outgoing.first(inventory, self._clock.wall(), self._clock.monotonic())
        if stats is not None:
            self._outgoing.add_stats(stats)
        self._on_request(first)
        reader = asyncio.ensure_future(self._read(context))
        writer = asyncio.ensure_future(self._write(context, answer))
        parts: set[asyncio.Future[None]] = {reader, writer, self._ended}
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            if self._ended in done:
                self._ended.result()
            for part in done:
                part.result()
        finally:
            for part in parts:
                part.cancel()
            # Their outcome was taken above, or does not matter any more.
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*parts, return_exceptions=True)

    async def _read(self, context: Any) -> None:
        while True:
            request = await context.read()
            if request is _EOF:
                return
            if request.epoch != self.epoch:
                raise invalid("epoch", f"{request.epoch} in a session of epoch {self.epoch}")
            if self._ended.done():
                return
            self._on_request(request)

    def _on_request(self, request: pb.SessionRequest) -> None:
        driver = self._driver
        if request.acknowledge:
            driver.acknowledge(wire.acknowledged_of(request.acknowledge))
        if request.HasField("drain"):
            grace = request.drain.grace
            driver.drain(request.drain.draining, grace.seconds + grace.nanos / 1e9)
        if request.HasField("leaving"):
            self._on_scaling_down(request.leaving)
        if request.assign:
            self._on_assigned(request.assign)
        if request.cancel:
            driver.cancel(wire.refs_of(request.cancel))
        if request.suspend:
            driver.suspend(wire.suspensions_of(request.suspend))
        if request.signals:
            driver.signal(wire.signals_of(request.signals))
        if request.acknowledge_reports:
            driver.acknowledge_reports(chunk_wire.acknowledged_of(request.acknowledge_reports))
        if request.recall:
            driver.recall(wire.refs_of(request.recall))
        if request.cancel_subtasks:
            orders = chunk_wire.subtasks_of(request.cancel_subtasks)
            driver.machine.on_subtasks_cancelled(orders)
        for message in request.results:
            driver.give_results(*chunk_wire.page_of(message))
        if request.forget_jobs:
            self._templates.forget(request.forget_jobs)
        driver.pump()

    def _on_assigned(self, assignments: Iterable[pb.Assignment]) -> None:
        attempts = []
        for assignment in assignments:
            if not assignment.HasField("chunk"):
                attempts.append(wire.attempt_of(assignment))
            elif attempt := self._templates.attempt_of(assignment):
                attempts.append(attempt)
            else:
                ref = Ref(assignment.task_id, assignment.attempt)
                self._driver.machine.on_template_missing(ref)
        self._driver.assign(attempts)

    async def _write(self, context: Any, answer: pb.SessionResponse) -> None:
        await context.write(answer)
        outgoing, wall = self._outgoing, self._clock.wall
        while True:
            await outgoing.wait()
            while response := outgoing.next(wall()):
                await context.write(response)


def _stale(error: StaleEpoch) -> QuorateError:
    return precondition("STALE_EPOCH", str(error), epoch=error.epoch, seen=error.seen)


def _mismatch() -> QuorateError:
    # Which one it is is for those to know who may read etcd.
    return QuorateError(
        grpc.StatusCode.NOT_FOUND, "INSTANCE_MISMATCH", "this agent is another incarnation"
    )
