"""The session with one node agent: dialled, kept open, given up.

    dial -> hello -> inventory -> reports and orders, one writer and one reader -> closed -> dial

A node is lost when another process answers at its address or nobody listens there any more, or
when no session without a fault (`conduct`) can be had for `unreachable_after` although its lease
lives; for half as long once its lease has ended. An open session says nothing then, since a machine
without power ends none: the process is asked (grpc.health.v1), and is lost when neither etcd nor
this leader hears from it. Whatever an agent says ends its own session at most, never the leader's
term.

Bounds: the reader does not take the next report while the journal is full, or while the agent does
not read what it was answered.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from quorate.etcd.api import Etcd
from quorate.runtime.errors import QuorateError, from_rpc_error
from quorate.runtime.ids import Epoch, InstanceId
from quorate.runtime.network.keepalive import BETWEEN_PROCESSES, client_keepalive
from quorate.runtime.network.reachability import refused
from quorate.runtime.timing.backoff import Backoff
from quorate.runtime.timing.lateness import own_delay
from quorate.security.tls.diagnosis import why_not
from quorate.security.tls.dialer import DIRECT, Dialer
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import node_agent_pb2_grpc
from scheduler.agents import conduct
from scheduler.agents.conduct import AgentMisbehaviour, ReturnThrottle
from scheduler.agents.inputs import InputError
from scheduler.agents.orders import READ_AGAIN, Orders
from scheduler.agents.reports import events_of, opened
from scheduler.core.model import events as e
from scheduler.core.model.rows import NodeRow, TaskRow
from scheduler.engine.driver import Driver
from scheduler.engine.spans import TaskSpans
from scheduler.storage.job_values import JobValues
from scheduler.storage.records import seconds
from scheduler.storage.result_pages import ResultPages

log = structlog.get_logger(__name__)

# Missing from the stubs of grpc.aio.
_EOF: Final[Any] = grpc.aio.EOF  # type: ignore[attr-defined]
_CONNECT_TIMEOUT: Final = 2.0
# Between two questions to a process whose lease has ended, and how long it may take to answer.
_ASK_EVERY: Final = 0.5
_ANSWER_TIMEOUT: Final = 1.0
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
# After a fault, and after one more each time.
_MISCONDUCT_PAUSE: Final = 0.5
_LONGEST_MISCONDUCT_PAUSE: Final = 5.0
# A session that lasted so long was a good one: the next pause is the first one again.
_GOOD_SESSION: Final = 1.0
# What grpc.aio raises, beside AioRpcError, for a write to a call that has just ended.
_BROKEN: Final = (asyncio.InvalidStateError, grpc.aio.UsageError, grpc.aio.InternalError)
CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", conduct.MESSAGE_BYTES),
    ("grpc.max_send_message_length", 16 << 20),
    *DIRECT,
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    *client_keepalive(*BETWEEN_PROCESSES),
)


class _Silent(Exception):
    """The process answers neither etcd nor this leader."""


class Owner(Protocol):
    """What a link asks of the `Sessions` it is one of, which says what each means."""

    driver: Driver
    etcd: Etcd
    prefix: bytes
    epoch: Epoch
    leader: str
    unreachable_after: float
    dialer: Dialer
    spans: TaskSpans | None
    job_values: JobValues
    result_pages: ResultPages

    def proof(self, instance: InstanceId) -> bytes: ...

    def misbehaved(self, kind: str) -> None: ...

    def sync(self) -> None: ...

    def is_scaling_down(self, instance: InstanceId) -> bool: ...


class Link:
    """The session with one agent process."""

    def __init__(self, sessions: Owner, node: NodeRow) -> None:
        self._sessions = sessions
        self._driver = sessions.driver
        self._name = node.name
        self._instance = node.instance
        self.address = node.address
        self._suspect = asyncio.Event()
        self.channel: grpc.aio.Channel | None = None
        self.orders = Orders(node.instance)
        self._open = False
        self._opened_at = 0.0

    def begin_session(self) -> None:
        """The agent has answered: assignments are sent from now on."""
        self._open = True

    def start(self, row: TaskRow, attempt: int) -> None:
        """Send an assignment; without a session, the next inventory settles it."""
        if self._open:
            self.orders.start(row, attempt)

    def suspected(self, *, since: float) -> None:
        """The node's lease has ended at `since`; 0.0: it has not."""
        if since:
            self._suspect.set()
        else:
            self._suspect.clear()

    @property
    def _patience(self) -> float:
        """Seconds without an answer until the node is lost."""
        patience = self._sessions.unreachable_after
        return patience / 2 if self._suspect.is_set() else patience

    async def run(self) -> None:
        """Keep a session open until the node is lost."""
        if not self.address:
            # Another link takes over when it registers.
            await asyncio.sleep(self._sessions.unreachable_after)
            self._lose("its lease ended and it did not register again")
            return
        clock = asyncio.get_running_loop().time
        last_heard = clock()
        pauses = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        after_misconduct = Backoff(_MISCONDUCT_PAUSE, _LONGEST_MISCONDUCT_PAUSE)
        backoff = pauses
        while True:
            why = "no answer"
            failure: AgentMisbehaviour | None = None
            try:
                # One for each attempt: with the certificates of the day.
                async with self._sessions.dialer.open(self.address, CHANNEL_OPTIONS) as channel:
                    self.channel = channel
                    await self._session(channel)
                why = "the session ended"
            except grpc.aio.AioRpcError as error:
                answer = from_rpc_error(error)
                why = answer.message
                if answer.reason == "STALE_EPOCH" and await self._leads():
                    failure = AgentMisbehaviour(
                        "STALE_EPOCH", f"it takes this leader for a former one: {why}"
                    )
                if answer.reason == "INSTANCE_MISMATCH":
                    self._lose("another process answers at its address")
                    return
            except AgentMisbehaviour as found:
                failure = found
            except TimeoutError:
                pass
            except _Silent:
                self._lose("its lease ended and it does not answer")
                return
            except _BROKEN as error:
                # The writer may notice before the reader that the agent is gone.
                why = str(error)
            finally:
                self.channel = None
                lasted = 0.0
                if self._open:
                    lasted = clock() - self._opened_at
                    self._close()
            if failure is not None:
                why = str(failure)
                self._misbehaved(failure)
                backoff = after_misconduct
            elif lasted:
                last_heard = clock()
                if lasted >= _GOOD_SESSION:
                    backoff = pauses
                    pauses.reset()
                    after_misconduct.reset()
            if await refused(self.address):
                self._lose("its process is gone")
                return
            if clock() - last_heard > self._patience:
                tls = self._sessions.dialer.tls
                after = self._patience
                why = await asyncio.to_thread(why_not, self.address, tls) or why
                self._lose(f"unreachable for {after:g} s ({why})")
                return
            await asyncio.sleep(backoff.next())

    async def _leads(self) -> bool:
        """Whether etcd says that this leader leads; if it says no, the journal ends the term."""
        try:
            await self._driver.barrier()
        except QuorateError:
            return False
        return True

    def _misbehaved(self, failure: AgentMisbehaviour) -> None:
        log.warning(
            "agent_misbehaved",
            node=self._name,
            instance=self._instance,
            kind=failure.kind,
            why=str(failure),
        )
        self._sessions.misbehaved(failure.kind)
        said = f"{failure.kind}: {failure}"
        self._driver.handle((e.AgentMisbehaved(self._name, self._instance, said),))

    def _note_clock(self, message: pb.SessionResponse) -> None:
        if message.HasField("time"):
            self._driver.clocks.report(self._instance, seconds(message.time))

    def _close(self) -> None:
        self._open = False
        self._driver.clocks.forget(self._instance)
        self.orders.clear()
        self._driver.handle((e.SessionClosed(self._name, self._instance),))

    def _lose(self, why: str) -> None:
        log.info("node_given_up", node=self._name, instance=self._instance, why=why)
        self._driver.handle((e.NodeLost(self._name, self._instance, why),))
        self._sessions.sync()

    async def _session(self, channel: grpc.aio.Channel) -> None:
        sessions = self._sessions
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            await _connected(channel)
        stub = node_agent_pb2_grpc.NodeAgentStub(channel)
        call: Any = stub.Session()
        try:
            scaling_down = sessions.is_scaling_down(self._instance)
            hello = pb.Hello(
                instance=self._instance,
                leader=sessions.leader,
                leaving=scaling_down,
                proof=sessions.proof(self._instance),
            )
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                await call.write(pb.SessionRequest(epoch=sessions.epoch, hello=hello))
                first = await call.read()
            if first is _EOF:
                # The status says why: raises AioRpcError unless the agent just hung up.
                await _raise_status(call)
                return
            conduct.check(self._instance, first, first=True)
            self._note_clock(first)
            events = opened(self._name, self._instance, first)
            self._opened_at = asyncio.get_running_loop().time()
            self.begin_session()
            for part in conduct.parts(events):
                self._driver.handle(part)
                await asyncio.sleep(0)
            log.info("session_opened", node=self._name, instance=self._instance)
            reader = asyncio.ensure_future(self._read(call))
            writer = asyncio.ensure_future(self._write(call))
            asking = asyncio.ensure_future(self._until_silent(channel))
            pages = sessions.result_pages
            results = asyncio.ensure_future(self.orders.results.run(self._driver.state, pages))
            tasks = (reader, writer, asking, results)
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            if asking in done:
                raise TimeoutError
            await _raise_status(call)
        finally:
            call.cancel()

    async def _read(self, call: Any) -> None:
        driver, clock = self._driver, asyncio.get_running_loop().time
        returns = ReturnThrottle(clock())
        while True:
            message = await call.read()
            if message is _EOF:
                return
            conduct.check(self._instance, message)
            # Before any of it is stepped: what cannot be translated is the agent's fault.
            events = list(events_of(self._name, self._instance, message))
            await driver.room()
            self._note_clock(message)
            if message.read_results:
                self.orders.results.want(driver.state, message.read_results)
            if message.returned:
                self.orders.chunks.forget_templates()
            await self.orders.room()
            for number, part in enumerate(conduct.parts(events)):
                if number:
                    await asyncio.sleep(0)
                driver.handle(part)
            if wait := returns.wait(events, clock()):
                await asyncio.sleep(wait)

    async def _write(self, call: Any) -> None:
        sessions, orders = self._sessions, self.orders
        while True:
            await orders.wake.wait()
            orders.wake.clear()
            if orders.needs_specs:
                await orders.fetch_specs(
                    sessions.etcd,
                    sessions.prefix,
                    self._driver.max_txn_ops,
                    self._inputs_failed,
                )
            if orders.chunks.waiting:
                await orders.chunks.fetch(sessions.job_values, self._fetch_again)
            while message := orders.next_message(sessions.epoch, sessions.spans):
                await call.write(message)

    def _inputs_failed(self, row: TaskRow, attempt: int, error: InputError) -> None:
        """An attempt that was never sent has failed."""
        event = e.AttemptFailed(
            self._instance, row.id, attempt, 0.0, 0.0, error.kind, error.message, None
        )
        self._driver.handle((event,))

    def _fetch_again(self) -> None:
        asyncio.get_running_loop().call_later(READ_AGAIN, self.orders.wake.set)

    async def _until_silent(self, channel: grpc.aio.Channel) -> None:
        """Ask the process now and then while its lease has ended; return when the connection broke.

        Raises _Silent.
        """
        stub: Any = health_pb2_grpc.HealthStub(channel)
        clock = asyncio.get_running_loop().time
        while True:
            await self._suspect.wait()
            began = clock()
            try:
                await stub.Check(health_pb2.HealthCheckRequest(), timeout=_ANSWER_TIMEOUT)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    # The connection broke: the next dial says why.
                    return
                # It may be this process that had no time to listen.
                late = own_delay(began, clock(), _ANSWER_TIMEOUT)
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and not late:
                    raise _Silent from error
            await asyncio.sleep(_ASK_EVERY)


async def _connected(channel: grpc.aio.Channel) -> None:
    """Wait until the channel is connected. Raises TimeoutError at its first failure.

    `channel_ready` would go on trying for the whole timeout, while a refused connect says at once
    that the process is gone.
    """
    state = channel.get_state(try_to_connect=True)
    while state is not grpc.ChannelConnectivity.READY:
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            raise TimeoutError
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)


async def _raise_status(call: Any) -> None:
    """Raise the AioRpcError of a call that ended with an error."""
    code = await call.code()
    if code is not grpc.StatusCode.OK:
        raise grpc.aio.AioRpcError(
            code,
            await call.initial_metadata(),
            await call.trailing_metadata(),
            await call.details(),
            None,
        )
