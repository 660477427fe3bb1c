"""One stream to each node agent, for one epoch.

`Sessions` keeps a `Link` per registered agent process; a link dials it, opens a session, turns its
reports into events, and writes what the driver tells it. Everything that gathers while one message
is being written goes out in the next: one writer per stream, no timer.

A node is lost when its key is gone from etcd, when another process answers at its address or
nobody listens there any more, or when no session can be had for `unreachable_after` although its
lease lives. The loss is an event; only once it is on record is its lease revoked.

Bounds: what a link holds unsent is bounded by the node's credit (assignments) and by the journal's
room (acknowledgements): the reader does not take the next report while the journal is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration

from quorate.etcd.api import Etcd, EtcdError, Range
from quorate.etcd.journal import Deposed
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.errors import QuorateError, from_rpc_error
from quorate.runtime.ids import InstanceId, NodeName, TaskId
from quorate.runtime.reachability import refused
from quorate.security.diagnosis import why_not
from quorate.security.dialer import Dialer
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import node_agent_pb2_grpc, task_pb2
from scheduler import keys
from scheduler.core import events as e
from scheduler.core.rows import NodeRow, NodeStats, TaskRow
from scheduler.core.values import TaskState
from scheduler.driver import Driver
from scheduler.records import seconds
from scheduler.spans import TaskSpans

log = structlog.get_logger(__name__)

# Missing from the stubs of grpc.aio.
_EOF: Final[Any] = grpc.aio.EOF  # type: ignore[attr-defined]
_MESSAGE_ITEMS: Final = 1_024
_MESSAGE_BYTES: Final = 2 << 20
_CONNECT_TIMEOUT: Final = 2.0
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
# What grpc.aio raises, beside AioRpcError, for a write to a call that has just ended.
_BROKEN: Final = (asyncio.InvalidStateError, grpc.aio.UsageError, grpc.aio.InternalError)
# An outcome larger than this fits into no Txn. Agents keep to 1 MiB for the result itself.
_OUTCOME_BYTES: Final = (1 << 20) + (128 << 10)
# Specs read back in one Txn, if it may hold so many: 1 MiB each at most, and an answer of etcd may
# have 64.
_SPECS_AT_ONCE: Final = 48


CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)


class Sessions:
    """All links of one epoch; what `Driver.agents` tells goes through here.

    Args:
        driver: where reports go.
        etcd: for revoking leases and reading back specs.
        prefix: the cluster's key prefix.
        epoch: goes with every message.
        leader: this process's name, for people.
        unreachable_after: seconds.
        dialer: opens the channels to agents; plaintext ones when left out.
    """

    def __init__(
        self,
        driver: Driver,
        etcd: Etcd,
        prefix: bytes,
        epoch: int,
        leader: str,
        unreachable_after: float,
        dialer: Dialer | None = None,
    ) -> None:
        self.driver = driver
        self.etcd = etcd
        self.prefix = prefix
        self.epoch = epoch
        self.leader = leader
        self.unreachable_after = unreachable_after
        self.dialer = dialer or Dialer(None)
        self.spans: TaskSpans | None = None
        # Who is marked, of what is committed: as folded, then as told. Kept for those registered.
        self._leaving = {mark.instance for mark in driver.state.leaving.values()}
        self._links: dict[InstanceId, tuple[Link, asyncio.Task[None]]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._ended = asyncio.Event()
        self._stale = ""

    async def run(self) -> None:
        """Own the links until cancelled. Raises Deposed when an agent knows a later epoch."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.sync()
            await self._ended.wait()
            raise Deposed(f"an agent knows a later epoch: {self._stale}")

    def end(self, error: QuorateError) -> None:
        """An agent has seen a later epoch: this leader is deposed."""
        self._stale = error.message
        self._ended.set()

    def sync(self) -> None:
        """Have a link to each registered process, and to no other."""
        if self._tasks is None:
            return
        wanted = {node.instance: node for node in self.driver.state.nodes.values()}
        for instance in [known for known in self._links if known not in wanted]:
            self._links.pop(instance)[1].cancel()
        self._leaving.intersection_update(wanted)
        for instance, node in wanted.items():
            if instance not in self._links:
                link = Link(self, node)
                self._links[instance] = (link, self._tasks.create_task(link.run()))

    def channel(self, instance: InstanceId) -> grpc.aio.Channel | None:
        """The channel to a process, while there is a link to it."""
        known = self._links.get(instance)
        return known[0].channel if known else None

    # -- driver.Agents

    def start(self, instance: InstanceId, row: TaskRow, attempt: int) -> None:
        known = self._links.get(instance)
        if known is not None:
            known[0].start(row, attempt)

    def end_attempt(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        known = self._links.get(instance)
        if known is not None:
            known[0].cancel.append(pb.AttemptRef(task_id=task, attempt=attempt))
            known[0].wake.set()

    def acknowledge(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        known = self._links.get(instance)
        if known is not None:
            known[0].acknowledged.append(pb.AttemptRef(task_id=task, attempt=attempt))
            known[0].wake.set()

    def drain(self, instance: InstanceId, draining: bool, grace: float) -> None:
        known = self._links.get(instance)
        if known is not None:
            known[0].drain = pb.DrainOrder(
                draining=draining, grace=Duration(seconds=int(grace), nanos=int(grace % 1 * 1e9))
            )
            known[0].wake.set()

    def leave(self, instance: InstanceId, leaving: bool) -> None:
        if leaving:
            self._leaving.add(instance)
        else:
            self._leaving.discard(instance)
        known = self._links.get(instance)
        if known is not None:
            known[0].leaving = leaving
            known[0].wake.set()

    def is_leaving(self, instance: InstanceId) -> bool:
        """Whether a process is to know that a scale-down may end it."""
        return instance in self._leaving

    def revoke(self, node: NodeName, instance: InstanceId) -> None:
        if self._tasks is not None:
            self._tasks.create_task(self._revoke(node, instance))

    async def _revoke(self, node: NodeName, instance: InstanceId) -> None:
        """Take a lost process's lease from it, so that it learns and its key goes."""
        key = self.prefix + keys.node_key(node)
        pause = _FIRST_PAUSE
        while True:
            try:
                found = await self.etcd.range(Range(key))
                for kv in found.kvs:
                    if kv.lease and r.NodeRecord.FromString(kv.value).instance == instance:
                        await self.etcd.lease_revoke(kv.lease)
                        log.info("node_lease_revoked", node=node, instance=instance)
                return
            except EtcdError as error:
                # Again until it is done: a process that lives and keeps its lease would never
                # learn that it was given up, and nobody would dial it.
                log.warning("node_lease_not_revoked", node=node, error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)


class Link:
    """The session with one agent process."""

    def __init__(self, sessions: Sessions, node: NodeRow) -> None:
        self._sessions = sessions
        self._driver = sessions.driver
        self._name = node.name
        self._instance = node.instance
        self._address = node.address
        self.channel: grpc.aio.Channel | None = None
        self.wake = asyncio.Event()
        # In order, with the row each is of: it may have moved on before it is sent.
        self._assign: list[tuple[TaskRow, int, bytes]] = []
        self._without_spec: list[tuple[TaskRow, int]] = []
        self.cancel: list[pb.AttemptRef] = []
        self.acknowledged: list[pb.AttemptRef] = []
        self.drain: pb.DrainOrder | None = None
        # To be told; None when the process knows.
        self.leaving: bool | None = None
        self._open = False

    def start(self, row: TaskRow, attempt: int) -> None:
        """Send an assignment; without a session, the next inventory settles it."""
        if not self._open:
            return
        if row.spec is None:
            self._without_spec.append((row, attempt))
        else:
            self._assign.append((row, attempt, row.spec))
        self.wake.set()

    async def run(self) -> None:
        """Keep a session open until the node is lost."""
        clock = asyncio.get_running_loop().time
        last_heard = clock()
        pause = _FIRST_PAUSE
        while True:
            why = "no answer"
            try:
                # One for each attempt: with the certificates of the day.
                async with self._sessions.dialer.open(self._address, CHANNEL_OPTIONS) as channel:
                    self.channel = channel
                    await self._session(channel)
                why = "the session ended"
            except grpc.aio.AioRpcError as error:
                answer = from_rpc_error(error)
                why = answer.message
                if answer.reason == "STALE_EPOCH":
                    self._sessions.end(answer)
                    return
                if answer.reason == "INSTANCE_MISMATCH":
                    self._lose("another process answers at its address")
                    return
            except TimeoutError:
                pass
            except _BROKEN as error:
                # The writer may notice before the reader that the agent is gone.
                why = str(error)
            finally:
                self.channel = None
                if self._open:
                    self._close()
                    last_heard, pause = clock(), _FIRST_PAUSE
            if await refused(self._address):
                self._lose("its process is gone")
                return
            if clock() - last_heard > self._sessions.unreachable_after:
                tls = self._sessions.dialer.tls
                why = await asyncio.to_thread(why_not, self._address, tls) or why
                self._lose(f"unreachable for {self._sessions.unreachable_after:g} s ({why})")
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _close(self) -> None:
        self._open = False
        self._assign.clear()
        self._without_spec.clear()
        self.cancel.clear()
        self.acknowledged.clear()
        self.drain = None
        self.leaving = None
        self._driver.handle((e.SessionClosed(self._name, self._instance),))

    def _lose(self, why: str) -> None:
        log.warning("node_lost", node=self._name, instance=self._instance, why=why)
        self._driver.handle((e.NodeLost(self._name, self._instance, why),))
        self._sessions.sync()

    async def _session(self, channel: grpc.aio.Channel) -> None:
        sessions = self._sessions
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            await _connected(channel)
        stub = node_agent_pb2_grpc.NodeAgentStub(channel)
        call: Any = stub.Session()
        try:
            told = sessions.is_leaving(self._instance)
            hello = pb.Hello(instance=self._instance, leader=sessions.leader, leaving=told)
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                await call.write(pb.SessionRequest(epoch=sessions.epoch, hello=hello))
                first = await call.read()
            if first is _EOF:
                # The status says why: raises AioRpcError unless the agent just hung up.
                await _raise_status(call)
                return
            self._opened(first)
            log.info("session_opened", node=self._name, instance=self._instance)
            reader = asyncio.ensure_future(self._read(call))
            writer = asyncio.ensure_future(self._write(call))
            try:
                done, _ = await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                reader.cancel()
                writer.cancel()
                await asyncio.gather(reader, writer, return_exceptions=True)
            await _raise_status(call)
        finally:
            call.cancel()

    def _opened(self, first: pb.SessionResponse) -> None:
        inventory = first.inventory
        attempts = [
            (TaskId(item.task_id), item.attempt, seconds(item.start_time))
            for item in inventory.running
        ]
        attempts += [(TaskId(item.task_id), item.attempt, 0.0) for item in inventory.waiting]
        finished = [(TaskId(item.task_id), item.attempt) for item in inventory.finished]
        self._open = True
        opened = e.SessionOpened(self._name, self._instance, attempts, finished)
        self._driver.handle([opened, *self._events(first)])

    async def _read(self, call: Any) -> None:
        driver = self._driver
        while True:
            message = await call.read()
            if message is _EOF:
                return
            await driver.room()
            driver.handle(self._events(message))

    def _events(self, message: pb.SessionResponse) -> Iterator[e.Event]:
        """What a message reports, as events."""
        instance = self._instance
        for begun in message.started:
            yield e.AttemptStarted(
                instance, TaskId(begun.task_id), begun.attempt, seconds(begun.start_time)
            )
        for item in message.finished:
            outcome = item.WhichOneof("outcome")
            task = TaskId(item.task_id)
            if item.ByteSize() > _OUTCOME_BYTES:
                yield _too_large(item, instance)
            elif outcome == "result":
                yield e.AttemptSucceeded(
                    instance,
                    task,
                    item.attempt,
                    seconds(item.start_time),
                    seconds(item.finish_time),
                    item.result,
                )
            elif outcome == "error":
                error = item.error
                yield e.AttemptFailed(
                    instance,
                    task,
                    item.attempt,
                    seconds(item.start_time),
                    seconds(item.finish_time),
                    error.type,
                    error.message,
                    error,
                )
            else:
                yield e.AttemptReturned(instance, task, item.attempt)
        for back in message.returned:
            yield e.AttemptReturned(instance, TaskId(back.task_id), back.attempt)
        if message.HasField("stats"):
            stats = message.stats
            yield e.StatsReported(
                self._name,
                instance,
                NodeStats(
                    stats.cpu,
                    stats.memory_used,
                    stats.memory_total,
                    stats.disk_used,
                    stats.disk_total,
                    stats.load1,
                ),
            )
        if message.HasField("credit"):
            yield e.CreditGiven(self._name, instance, message.credit)

    async def _write(self, call: Any) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            if self._without_spec:
                await self._fetch_specs()
            while message := self._next_message():
                await call.write(message)

    def _next_message(self) -> pb.SessionRequest | None:
        """What has gathered, up to the bounds of one message; None when there is nothing."""
        cancels = self.cancel and not self._without_spec
        orders = self.drain is not None or self.leaving is not None
        if not (self._assign or cancels or self.acknowledged or orders):
            return None
        message = pb.SessionRequest(epoch=self._sessions.epoch)
        size = count = 0
        for row, attempt, spec in self._assign[:_MESSAGE_ITEMS]:
            if size and size + len(spec) > _MESSAGE_BYTES:
                break
            count += 1
            # Told twice, over two sessions, and ended since: the agent has forgotten it and
            # would run it again.
            if _is_current(row, attempt, self._instance):
                size += len(spec)
                if self._sessions.spans is not None:
                    self._sessions.spans.assigned(row, attempt, spec)
                message.assign.append(_assignment(row, attempt, spec))
        del self._assign[:count]
        if not self._assign and not self._without_spec:
            # Never ahead of the assignment it is for: the agent ignores what it does not know.
            message.cancel.extend(self.cancel[:_MESSAGE_ITEMS])
            del self.cancel[:_MESSAGE_ITEMS]
        message.acknowledge.extend(self.acknowledged[:_MESSAGE_ITEMS])
        del self.acknowledged[:_MESSAGE_ITEMS]
        if self.drain is not None:
            message.drain.CopyFrom(self.drain)
            self.drain = None
        if self.leaving is not None:
            message.leaving = self.leaving
            self.leaving = None
        return message

    async def _fetch_specs(self) -> None:
        """Read back the specs that memory did not keep."""
        wanted, self._without_spec = self._without_spec, []
        prefix = self._sessions.prefix
        at_once = min(_SPECS_AT_ONCE, self._driver.max_txn_ops)
        for start in range(0, len(wanted), at_once):
            rows = wanted[start : start + at_once]
            reads = [Range(prefix + keys.task_key(row.queue.name, row.id)) for row, _ in rows]
            try:
                found = await self._sessions.etcd.txn((), reads)
            except EtcdError:
                # Tried again with the next wake-up; their attempts stay on record meanwhile.
                self._without_spec.extend(wanted[start:])
                asyncio.get_running_loop().call_later(_LONGEST_PAUSE, self.wake.set)
                return
            for (row, attempt), result in zip(rows, found.ranges, strict=True):
                for kv in result.kvs:
                    spec = r.TaskRecord.FromString(kv.value).spec
                    self._assign.append((row, attempt, spec))


def _is_current(row: TaskRow, attempt: int, instance: InstanceId) -> bool:
    return row.state is TaskState.RUNNING and row.attempt == attempt and row.instance == instance


def _too_large(item: pb.AttemptFinished, instance: InstanceId) -> e.AttemptFailed:
    """What becomes of an outcome that no Txn can hold: no agent of ours sends one."""
    error = task_pb2.TaskError(
        type="RESULT_TOO_LARGE", message=f"the outcome is {item.ByteSize()} bytes long"
    )
    return e.AttemptFailed(
        instance,
        TaskId(item.task_id),
        item.attempt,
        seconds(item.start_time),
        seconds(item.finish_time),
        error.type,
        error.message,
        error,
    )


def _assignment(row: TaskRow, attempt: int, spec: bytes) -> pb.Assignment:
    return pb.Assignment(
        task_id=row.id,
        attempt=attempt,
        queue=row.queue.name,
        spec=spec,
        disconnect=int(row.queue.disconnect),  # type: ignore[arg-type]
    )


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
