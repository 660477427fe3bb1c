"""Schedulers that forward to a leader: in-process servers, real gRPC over the loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import ServiceDescriptor

from quorate.runtime.errors import from_rpc_error, not_found
from quorate.runtime.ids import InstanceId
from quorate.v1 import broker_pb2, broker_pb2_grpc, scheduler_pb2, scheduler_pb2_grpc
from scheduler.api.forwarding.forward import ForwardingHandlers
from scheduler.api.forwarding.role import Leader, Roles, Servicers
from scheduler.api.servicer import Servicer

SERVICE = scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"]
BROKER = broker_pb2.DESCRIPTOR.services_by_name["Broker"]
Context = grpc.aio.ServicerContext[Any, Any]


class FakeScheduler:
    """Answers a few methods and remembers what it saw."""

    def __init__(self) -> None:
        self.metadata: dict[str, str | bytes] = {}
        self.remaining: float | None = None
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()
        self.producers: list[str] = []

    @property
    def servicers(self) -> Servicers:
        fake = Servicer({"GetTask": self.GetTask}, {"WatchTasks": self.WatchTasks})
        broker = Servicer({}, duplexes={"PublishStream": self.PublishStream})
        return {SERVICE.full_name: fake, BROKER.full_name: broker}

    async def GetTask(self, request: Any, context: Context) -> Any:
        self.metadata = dict(context.invocation_metadata() or ())
        self.remaining = context.time_remaining()
        if request.id == "absent":
            raise not_found("task", request.id)
        if request.id == "bug":
            raise ValueError("a secret of ours")
        if request.id == "aborts":
            await context.abort(grpc.StatusCode.ABORTED, "said so")
        if request.id == "slow":
            await self._block()
        context.set_trailing_metadata((("trailer", "kept"),))
        reply = scheduler_pb2.GetTaskResponse()
        reply.task.id = request.id
        return reply

    async def WatchTasks(self, request: Any, context: Context) -> AsyncGenerator[Any, None]:
        for number in range(3):
            yield scheduler_pb2.WatchTasksResponse(resume_token=str(number))
        if request.resume_token == "absent":
            raise not_found("task", "x")
        if request.resume_token == "bug":
            raise ValueError("a secret of ours")
        if request.resume_token == "endless":
            await self._block()

    async def PublishStream(
        self, requests: AsyncGenerator[bytes, None], context: Context
    ) -> AsyncGenerator[Any, None]:
        """Confirms each publication when it comes; what producers are called says how."""
        self.metadata = dict(context.invocation_metadata() or ())
        async for body in requests:
            request = broker_pb2.PublishStreamRequest.FromString(body)
            self.producers.append(request.producer)
            if request.producer == "absent":
                raise not_found("producer", request.producer)
            if request.producer == "bug":
                raise ValueError("a secret of ours")
            if request.producer == "endless":
                await self._block()
            for publication in request.publications:
                yield broker_pb2.PublishStreamResponse(confirmed=publication.number)
        self.ended.set()

    async def _block(self) -> None:
        self.entered.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@dataclass
class Process:
    """One scheduler: its role, its handlers, its server."""

    roles: Roles
    handlers: ForwardingHandlers
    server: grpc.aio.Server
    address: str
    fake: FakeScheduler = field(default_factory=FakeScheduler)

    def follow(self, other: Process) -> None:
        self.roles.seen(other.as_leader())

    def as_leader(self) -> Leader:
        return Leader(b"k", 1, 1, "n", InstanceId(self.address), self.address)


class Cluster:
    """Starts processes and stubs, and closes them in the end."""

    def __init__(
        self,
        stack: AsyncExitStack,
        service: ServiceDescriptor = SERVICE,
        server_options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self._stack = stack
        self._service = service
        self._server_options = (("grpc.so_reuseport", 0), *server_options)

    async def process(self, **options: Any) -> Process:
        server = grpc.aio.server(options=self._server_options)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        roles = Roles(InstanceId(address))
        handlers = ForwardingHandlers(self._service, roles, **options)
        server.add_generic_rpc_handlers((handlers.handler(),))
        await server.start()
        self._stack.push_async_callback(handlers.close)
        self._stack.push_async_callback(server.stop, None)
        return Process(roles, handlers, server, address)

    async def leader(self, **options: Any) -> Process:
        process = await self.process(**options)
        process.roles.lead(process.fake.servicers)
        return process

    async def stub(self, process: Process) -> Any:
        return scheduler_pb2_grpc.SchedulerStub(await self.channel(process))

    async def broker(self, process: Process) -> Any:
        return broker_pb2_grpc.BrokerStub(await self.channel(process))

    async def channel(self, process: Process) -> grpc.aio.Channel:
        return await self._stack.enter_async_context(grpc.aio.insecure_channel(process.address))


def get(task: str) -> Any:
    return scheduler_pb2.GetTaskRequest(id=task)


def watch(token: str = "") -> Any:
    return scheduler_pb2.WatchTasksRequest(resume_token=token)


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def reason(call: Any) -> tuple[grpc.StatusCode, str]:
    error = from_rpc_error(await failure(call))
    return error.code, error.reason


async def drain(call: Any) -> list[str]:
    return [answer.resume_token async for answer in call]
