"""What `Client` has for exchanges, message queues and bindings, and for the messages in queues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from quorate.client.messages import rpcs, templates
from quorate.client.messages.offsets import OffsetMethods
from quorate.client.messages.policies import PolicyMethods
from quorate.client.messages.templates import TemplateWork
from quorate.client.messages.values import declaring, requests
from quorate.client.messages.values.declaring import ExchangeKind, QueueArgs, StreamArgs
from quorate.client.messages.values.incoming import Received
from quorate.client.pages import pages
from quorate.client.transport.rpcs import GET_MESSAGE_TEMPLATE, SET_MESSAGE_TEMPLATE
from quorate.client.work.texts import text_of
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2, scheduler_pb2, task_pb2

if TYPE_CHECKING:
    from quorate.client.transport.calls import Calls
    from quorate.client.work.options import TaskOptions


class TopologyMethods(OffsetMethods, PolicyMethods):
    """A part of `Client`. Answers are messages of `quorate.v1.message_pb2`."""

    if TYPE_CHECKING:

        @property
        def calls(self) -> Calls: ...
        @property
        def task_options(self) -> TaskOptions: ...

    # -- exchanges

    def declare_exchange(
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
        """Create an exchange. One that is there with the same properties is left as it is.

        Args:
            kind: which messages a binding passes on: "direct" (the same routing key), "fanout"
                (all), "topic" (a pattern with `*` and `#`), "headers", or "consistent-hash" (each
                to one queue, by routing key).
            auto_delete: it goes with its last binding.
            internal: reached from other exchanges alone.
            durable: passed on to AMQP clients; it survives restarts whatever it says.
            alternate: the exchange that gets messages which reach no queue.
            arguments: `x-` arguments of AMQP, at most 64.

        Raises QuorateError: FAILED_PRECONDITION `EXCHANGE_DIFFERS` naming the field.
        """
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
        return self.calls.call(rpcs.CREATE_EXCHANGE, request).exchange

    def exchanges(self, *, virtual_host: str = "") -> Iterator[message_pb2.Exchange]:
        """The exchanges by name, the predeclared ones too."""
        request = pb.ListExchangesRequest(virtual_host=virtual_host)
        for answer in pages(self.calls, rpcs.LIST_EXCHANGES, request):
            yield from answer.exchanges

    def delete_exchange(
        self, name: str, *, if_unused: bool = False, virtual_host: str = ""
    ) -> None:
        """Delete an exchange with its bindings.

        Args:
            if_unused: refuse (`EXCHANGE_IN_USE`) while it is the source of a binding.

        Raises QuorateError: NOT_FOUND.
        """
        request = requests.delete_exchange(name, if_unused, virtual_host)
        self.calls.call(rpcs.DELETE_EXCHANGE, request)

    # -- message queues and streams

    def declare_queue(
        self, name: str = "", *, virtual_host: str = "", **options: Unpack[QueueArgs]
    ) -> message_pb2.MessageQueue:
        """Create a message queue. One that is there with the same options is left as it is.

        Args:
            name: "": the cluster chooses one; see `name` of the answer.
            options: see `QueueArgs`.

        Raises QuorateError: FAILED_PRECONDITION `MESSAGE_QUEUE_DIFFERS` naming the field.
        """
        request = declaring.create_queue(name, options, virtual_host=virtual_host)
        return self.calls.call(rpcs.CREATE_MESSAGE_QUEUE, request).message_queue

    def declare_stream(
        self, name: str, *, virtual_host: str = "", **options: Unpack[StreamArgs]
    ) -> message_pb2.MessageQueue:
        """Create a stream: messages stay until they are old or too many, and any number of
        consumers reads them. As `declare_queue` otherwise.

        Args:
            options: see `StreamArgs`.
        """
        request = declaring.create_stream(name, options, virtual_host=virtual_host)
        return self.calls.call(rpcs.CREATE_MESSAGE_QUEUE, request).message_queue

    def message_queue(self, name: str, *, virtual_host: str = "") -> message_pb2.MessageQueue:
        """One message queue or stream, with its counts. Raises QuorateError NOT_FOUND."""
        request = requests.get_queue(name, virtual_host)
        return self.calls.call(rpcs.GET_MESSAGE_QUEUE, request).message_queue

    def message_queues(self, *, virtual_host: str = "") -> Iterator[message_pb2.MessageQueue]:
        """Message queues and streams by name, with their counts."""
        request = pb.ListMessageQueuesRequest(virtual_host=virtual_host)
        for answer in pages(self.calls, rpcs.LIST_MESSAGE_QUEUES, request):
            yield from answer.message_queues

    def delete_message_queue(
        self,
        name: str,
        *,
        if_unused: bool = False,
        if_empty: bool = False,
        virtual_host: str = "",
    ) -> int:
        """Delete a message queue or stream with its messages; how many it had.

        Args:
            if_unused: refuse (`MESSAGE_QUEUE_IN_USE`) while it has consumers.
            if_empty: refuse (`MESSAGE_QUEUE_NOT_EMPTY`) while messages wait in it. Messages that
                are delivered and not acknowledged do not count.

        Raises QuorateError: NOT_FOUND.
        """
        request = requests.delete_queue(name, if_unused, if_empty, virtual_host)
        return self.calls.call(rpcs.DELETE_MESSAGE_QUEUE, request).messages

    # -- bindings

    def bind(
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
        """Have an exchange pass messages on to a queue. Repeated, it changes nothing.

        Args:
            routing_key: of a topic exchange a pattern; "" by default.
            to_exchange: another exchange that gets them; `queue` is "" then. See `bind_exchange`.
            to_task_queue: a task queue with a message template: each message becomes a task;
                `queue` is "" then. It takes the permission `tasks.submit`.
            arguments: of a headers exchange: what is compared, and `x-match`.

        Raises QuorateError: NOT_FOUND naming what is not there.
        """
        made = requests.bind(
            *(queue, exchange, routing_key, to_exchange, to_task_queue, arguments, virtual_host)
        )
        self.calls.call(rpcs.CREATE_BINDING, made)

    def unbind(
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
        """Remove a binding; undoes `bind` with the same arguments. One that is not there is no
        error."""
        made = requests.unbind(
            *(queue, exchange, routing_key, to_exchange, to_task_queue, arguments, virtual_host)
        )
        self.calls.call(rpcs.DELETE_BINDING, made)

    def bind_exchange(
        self,
        exchange: str,
        source: str,
        routing_key: str = "",
        *,
        arguments: Mapping[str, Any] | None = None,
        virtual_host: str = "",
    ) -> None:
        """Have the exchange `source` pass messages on to another exchange. As `bind` otherwise."""
        self.bind(
            "",
            source,
            routing_key,
            to_exchange=exchange,
            arguments=arguments,
            virtual_host=virtual_host,
        )

    def unbind_exchange(
        self,
        exchange: str,
        source: str,
        routing_key: str = "",
        *,
        arguments: Mapping[str, Any] | None = None,
        virtual_host: str = "",
    ) -> None:
        """Remove such a binding; undoes `bind_exchange` with the same arguments."""
        self.unbind(
            "",
            source,
            routing_key,
            to_exchange=exchange,
            arguments=arguments,
            virtual_host=virtual_host,
        )

    def bindings(
        self,
        *,
        exchange: str = "",
        queue: str = "",
        task_queue: str = "",
        to_exchange: str = "",
        virtual_host: str = "",
    ) -> Iterator[message_pb2.Binding]:
        """The bindings of an exchange, to one destination, or all.

        Args:
            exchange: their source.
            queue, task_queue, to_exchange: their destination, at most one of these.
        """
        request = requests.list_bindings(exchange, queue, task_queue, to_exchange, virtual_host)
        for answer in pages(self.calls, rpcs.LIST_BINDINGS, request):
            yield from answer.bindings

    # -- what messages become in task queues

    def set_message_template(
        self,
        queue: str,
        work: TemplateWork,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Say what a message becomes that reaches a task queue: one task of this template.

        A program gets the body on standard input. A function gets it as its first argument: the
        value of a JSON body, the text of another one, or bytes that are no text. Both get the rest
        of the message in their environment, as QUORATE_MESSAGE_...

        Args:
            work: a function that nodes can import, the `module:qualname` of one, a program with its
                arguments, or a spec. Options are those of the client: see `Client.options`.
            args, kwargs: of a function, behind the body.

        Raises QuorateError: NOT_FOUND; INVALID_ARGUMENT naming the field.
        """
        request = templates.set_template(queue, work, args, kwargs, self.task_options)
        self.calls.call(SET_MESSAGE_TEMPLATE, request)

    def message_template(self, queue: str) -> task_pb2.TaskSpec | None:
        """What messages become in a task queue; None: nothing. Raises QuorateError: NOT_FOUND."""
        request = scheduler_pb2.GetMessageTemplateRequest(queue=text_of("queue", queue))
        answer = self.calls.call(GET_MESSAGE_TEMPLATE, request)
        return answer.template if answer.HasField("template") else None

    def remove_message_template(self, queue: str) -> None:
        """Messages become nothing in a task queue any longer.

        Raises QuorateError: NOT_FOUND; FAILED_PRECONDITION `QUEUE_BOUND` while it is bound.
        """
        self.calls.call(SET_MESSAGE_TEMPLATE, templates.remove_template(queue))

    # -- messages in queues

    def peek(
        self, queue: str, count: int = 10, *, offset: int = 0, virtual_host: str = ""
    ) -> list[Received]:
        """The oldest messages that are ready; they stay where they are.

        Args:
            count: at most so many, 1 to 100; fewer when their bodies are large.
            offset: of a stream: from this one on.

        Raises QuorateError: NOT_FOUND; INVALID_ARGUMENT.
        """
        request = requests.peek(queue, count, offset, virtual_host)
        answer = self.calls.call(rpcs.PEEK_MESSAGES, request)
        return [Received(one, queue) for one in answer.messages]

    def receive(self, queue: str, count: int = 1, *, virtual_host: str = "") -> list[Received]:
        """Take messages off a queue, oldest first; none if it is empty. They are gone for others.

        At most once: what a call took that a failover interrupts is lost. To be sure of each
        message use `consume`.

        Args:
            count: at most so many, 1 to 1,000.

        Raises QuorateError: NOT_FOUND; INVALID_ARGUMENT.
        """
        request = requests.receive(queue, count, virtual_host)
        answer = self.calls.call(rpcs.RECEIVE_MESSAGES, request)
        return [Received(one, queue) for one in answer.messages]

    def purge(self, queue: str, *, virtual_host: str = "") -> int:
        """Delete the messages of a queue that are ready; how many. What consumers have stays.

        Raises QuorateError: NOT_FOUND.
        """
        request = requests.purge(queue, virtual_host)
        return self.calls.call(rpcs.PURGE_MESSAGE_QUEUE, request).messages

    def move(
        self, queue: str, destination: str, count: int = 1_000, *, virtual_host: str = ""
    ) -> int:
        """Move ready messages to another queue, oldest first; how many. Each is in one of both at
        any time.

        A call that a failover interrupts is repeated and may move up to `count` more.

        Args:
            count: at most so many, 1 to 10,000.

        Raises QuorateError: NOT_FOUND; INVALID_ARGUMENT.
        """
        request = requests.move(queue, destination, count, virtual_host)
        return self.calls.call(rpcs.MOVE_MESSAGES, request).moved
