"""What `AsyncClient` has for exchanges, message queues and bindings. The twin of `topology`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from quorate.client.messages import rpcs, templates
from quorate.client.messages.templates import TemplateWork
from quorate.client.messages.values import declaring, policies, requests
from quorate.client.messages.values.declaring import ExchangeKind, QueueArgs, StreamArgs
from quorate.client.messages.values.incoming import Received
from quorate.client.pages import apages
from quorate.client.transport.rpcs import GET_MESSAGE_TEMPLATE, SET_MESSAGE_TEMPLATE
from quorate.client.work.texts import text_of
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2, scheduler_pb2, task_pb2

if TYPE_CHECKING:
    from quorate.client.transport.acalls import AsyncCalls
    from quorate.client.work.options import TaskOptions


class AsyncTopologyMethods:
    """A part of `AsyncClient`. Answers are messages of `quorate.v1.message_pb2`."""

    if TYPE_CHECKING:

        @property
        def calls(self) -> AsyncCalls: ...
        @property
        def task_options(self) -> TaskOptions: ...

    # -- exchanges

    async def declare_exchange(
        self,
        name: str,
        kind: ExchangeKind = "direct",
        *,
        auto_delete: bool = False,
        internal: bool = False,
        durable: bool = True,
        alternate: str = "",
        arguments: Mapping[str, Any] | None = None,
        virtual_host: str = "",
    ) -> message_pb2.Exchange:
        """As `Client.declare_exchange`."""
        request = declaring.create_exchange(
            name,
            kind,
            auto_delete=auto_delete,
            internal=internal,
            durable=durable,
            alternate=alternate,
            arguments=arguments,
            virtual_host=virtual_host,
        )
        return (await self.calls.call(rpcs.CREATE_EXCHANGE, request)).exchange

    async def exchanges(self, *, virtual_host: str = "") -> AsyncIterator[message_pb2.Exchange]:
        """As `Client.exchanges`."""
        request = pb.ListExchangesRequest(virtual_host=virtual_host)
        async for answer in apages(self.calls, rpcs.LIST_EXCHANGES, request):
            for one in answer.exchanges:
                yield one

    async def delete_exchange(
        self, name: str, *, if_unused: bool = False, virtual_host: str = ""
    ) -> None:
        """As `Client.delete_exchange`."""
        request = requests.delete_exchange(name, if_unused, virtual_host)
        await self.calls.call(rpcs.DELETE_EXCHANGE, request)

    # -- message queues and streams

    async def declare_queue(
        self, name: str = "", *, virtual_host: str = "", **options: Unpack[QueueArgs]
    ) -> message_pb2.MessageQueue:
        """As `Client.declare_queue`."""
        request = declaring.create_queue(name, options, virtual_host=virtual_host)
        return (await self.calls.call(rpcs.CREATE_MESSAGE_QUEUE, request)).message_queue

    async def declare_stream(
        self, name: str, *, virtual_host: str = "", **options: Unpack[StreamArgs]
    ) -> message_pb2.MessageQueue:
        """As `Client.declare_stream`."""
        request = declaring.create_stream(name, options, virtual_host=virtual_host)
        return (await self.calls.call(rpcs.CREATE_MESSAGE_QUEUE, request)).message_queue

    async def message_queue(self, name: str, *, virtual_host: str = "") -> message_pb2.MessageQueue:
        """As `Client.message_queue`."""
        request = requests.get_queue(name, virtual_host)
        return (await self.calls.call(rpcs.GET_MESSAGE_QUEUE, request)).message_queue

    async def message_queues(
        self, *, virtual_host: str = ""
    ) -> AsyncIterator[message_pb2.MessageQueue]:
        """As `Client.message_queues`."""
        request = pb.ListMessageQueuesRequest(virtual_host=virtual_host)
        async for answer in apages(self.calls, rpcs.LIST_MESSAGE_QUEUES, request):
            for one in answer.message_queues:
                yield one

    async def delete_message_queue(
        self,
        name: str,
        *,
        if_unused: bool = False,
        if_empty: bool = False,
        virtual_host: str = "",
    ) -> int:
        """As `Client.delete_message_queue`."""
        request = requests.delete_queue(name, if_unused, if_empty, virtual_host)
        return (await self.calls.call(rpcs.DELETE_MESSAGE_QUEUE, request)).messages

    # -- bindings

    async def bind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        *,
        to_exchange: str = "",
        to_task_queue: str = "",
        arguments: Mapping[str, Any] | None = None,
        virtual_host: str = "",
    ) -> None:
        """As `Client.bind`."""
        made = requests.bind(
            *(queue, exchange, routing_key, to_exchange, to_task_queue, arguments, virtual_host)
        )
        await self.calls.call(rpcs.CREATE_BINDING, made)

    async def unbind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        *,
        to_exchange: str = "",
        to_task_queue: str = "",
        arguments: Mapping[str, Any] | None = None,
        virtual_host: str = "",
    ) -> None:
        """As `Client.unbind`."""
        made = requests.unbind(
            *(queue, exchange, routing_key, to_exchange, to_task_queue, arguments, virtual_host)
        )
        await self.calls.call(rpcs.DELETE_BINDING, made)

    async def bind_exchange(
        self,
        exchange: str,
        source: str,
        routing_key: str = "",
        *,
        arguments: Mapping[str, Any] | None = None,
        virtual_host: str = "",
    ) -> None:
        """As `Client.bind_exchange`."""
        await self.bind(
            "",
            source,
            routing_key,
            to_exchange=exchange,
            arguments=arguments,
            virtual_host=virtual_host,
        )

    async def unbind_exchange(
        self,
        exchange: str,
        source: str,
        routing_key: str = "",
        *,
        arguments: Mapping[str, Any] | None = None,
        virtual_host: str = "",
    ) -> None:
        """As `Client.unbind_exchange`."""
        await self.unbind(
            "",
            source,
            routing_key,
            to_exchange=exchange,
            arguments=arguments,
            virtual_host=virtual_host,
        )

    async def bindings(
        self,
        *,
        exchange: str = "",
        queue: str = "",
        task_queue: str = "",
        to_exchange: str = "",
        virtual_host: str = "",
    ) -> AsyncIterator[message_pb2.Binding]:
        """As `Client.bindings`."""
        request = requests.list_bindings(exchange, queue, task_queue, to_exchange, virtual_host)
        async for answer in apages(self.calls, rpcs.LIST_BINDINGS, request):
            for one in answer.bindings:
                yield one

    # -- what messages become in task queues

    async def set_message_template(
        self,
        queue: str,
        work: TemplateWork,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """As `Client.set_message_template`."""
        request = templates.set_template(queue, work, args, kwargs, self.task_options)
        await self.calls.call(SET_MESSAGE_TEMPLATE, request)

    async def message_template(self, queue: str) -> task_pb2.TaskSpec | None:
        """As `Client.message_template`."""
        request = scheduler_pb2.GetMessageTemplateRequest(queue=text_of("queue", queue))
        answer = await self.calls.call(GET_MESSAGE_TEMPLATE, request)
        return answer.template if answer.HasField("template") else None

    async def remove_message_template(self, queue: str) -> None:
        """As `Client.remove_message_template`."""
        await self.calls.call(SET_MESSAGE_TEMPLATE, templates.remove_template(queue))

    # -- messages in queues

    async def peek(
        self, queue: str, count: int = 10, *, offset: int = 0, virtual_host: str = ""
    ) -> list[Received]:
        """As `Client.peek`."""
        request = requests.peek(queue, count, offset, virtual_host)
        answer = await self.calls.call(rpcs.PEEK_MESSAGES, request)
        return [Received(one, queue) for one in answer.messages]

    async def receive(
        self, queue: str, count: int = 1, *, virtual_host: str = ""
    ) -> list[Received]:
        """As `Client.receive`."""
        request = requests.receive(queue, count, virtual_host)
        answer = await self.calls.call(rpcs.RECEIVE_MESSAGES, request)
        return [Received(one, queue) for one in answer.messages]

    async def purge(self, queue: str, *, virtual_host: str = "") -> int:
        """As `Client.purge`."""
        request = requests.purge(queue, virtual_host)
        return (await self.calls.call(rpcs.PURGE_MESSAGE_QUEUE, request)).messages

    async def move(
        self, queue: str, destination: str, count: int = 1_000, *, virtual_host: str = ""
    ) -> int:
        """As `Client.move`."""
        request = requests.move(queue, destination, count, virtual_host)
        return (await self.calls.call(rpcs.MOVE_MESSAGES, request)).moved

    async def store_offset(
        self,
        stream: str,
        name: str,
        offset: int,
        *,
        expected: int | None = None,
        virtual_host: str = "",
    ) -> None:
        """As `Client.store_offset`."""
        request = requests.store_offset(stream, name, offset, expected, virtual_host)
        await self.calls.call(rpcs.SET_STREAM_OFFSET, request)

    async def stored_offsets(self, stream: str, *, virtual_host: str = "") -> dict[str, int]:
        """As `Client.stored_offsets`."""
        request = requests.list_offsets(stream, virtual_host)
        found = (await self.calls.call(rpcs.LIST_STREAM_OFFSETS, request)).stream_offsets
        return {one.name: one.offset for one in found}

    async def delete_offset(self, stream: str, name: str, *, virtual_host: str = "") -> None:
        """As `Client.delete_offset`."""
        request = requests.delete_offset(stream, name, virtual_host)
        await self.calls.call(rpcs.DELETE_STREAM_OFFSET, request)

    async def set_policy(
        self,
        name: str,
        pattern: str,
        definition: Mapping[str, Any],
        *,
        priority: int = 0,
        apply_to: str = "all",
        operator: bool = False,
        virtual_host: str = "",
    ) -> message_pb2.MessagePolicy:
        """As `Client.set_policy`."""
        request = policies.set_policy(
            *(name, pattern, definition),
            priority=priority,
            apply_to=apply_to,
            operator=operator,
            virtual_host=virtual_host,
        )
        return (await self.calls.call(rpcs.SET_MESSAGE_POLICY, request)).policy

    async def policies(self, *, virtual_host: str = "") -> list[message_pb2.MessagePolicy]:
        """As `Client.policies`."""
        request = policies.list_policies(virtual_host)
        return list((await self.calls.call(rpcs.LIST_MESSAGE_POLICIES, request)).policies)

    async def delete_policy(
        self, name: str, *, operator: bool = False, virtual_host: str = ""
    ) -> None:
        """As `Client.delete_policy`."""
        request = policies.delete_policy(name, operator, virtual_host)
        await self.calls.call(rpcs.DELETE_MESSAGE_POLICY, request)
