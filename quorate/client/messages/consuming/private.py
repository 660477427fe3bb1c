"""Private queues: exclusive ones that a consumer declares in its own session; and replies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from quorate.client.messages.rpcs import CREATE_BINDING, CREATE_MESSAGE_QUEUE
from quorate.client.messages.values import declaring
from quorate.client.messages.values.declaring import QueueArgs
from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import Body, MessageArgs, publication
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.calls import Calls
from quorate.client.transport.rpcs import new_request_id
from quorate.runtime.errors import QuorateError, precondition
from quorate.v1 import broker_pb2 as pb

# A private queue is gone with its session, which was away for too long: another one is declared.
GONE: Final = ("MESSAGE_QUEUE_NOT_FOUND", "MESSAGE_QUEUE_DELETED")


class BeginAnew(Exception):
    """The private queue of a consumer is gone."""


def judged(error: QuorateError) -> Exception:
    """What to raise for a private queue that could not be declared."""
    return BeginAnew() if error.reason == "SESSION_NOT_FOUND" else error


@dataclass(frozen=True, slots=True)
class Private:
    """A queue of one consumer, bound to an exchange.

    Attributes:
        exchange: empty: bound to none.
        routing_keys: one binding each.
        arguments: of the bindings.
    """

    virtual_host: str
    exchange: str
    routing_keys: Sequence[str]
    arguments: Mapping[str, Any] | None
    args: QueueArgs

    def declare_with(self, calls: Calls, session: str) -> str:
        """Declare and bind it; its name. Raises QuorateError."""
        queue = calls.call(CREATE_MESSAGE_QUEUE, self._declare(session)).message_queue.name
        for request in self._bind(queue, session):
            calls.call(CREATE_BINDING, request)
        return queue

    async def declare_with_async(self, calls: AsyncCalls, session: str) -> str:
        """As `declare_with`."""
        answer = await calls.call(CREATE_MESSAGE_QUEUE, self._declare(session))
        for request in self._bind(answer.message_queue.name, session):
            await calls.call(CREATE_BINDING, request)
        return answer.message_queue.name

    def _declare(self, session: str) -> pb.CreateMessageQueueRequest:
        return declaring.create_queue(
            "", self.args, virtual_host=self.virtual_host, session=session, exclusive=True
        )

    def _bind(self, queue: str, session: str) -> Iterator[pb.CreateBindingRequest]:
        for key in self.routing_keys if self.exchange else ():
            made = declaring.binding(
                queue,
                self.exchange,
                key,
                to_exchange="",
                to_task_queue="",
                arguments=self.arguments,
                virtual_host=self.virtual_host,
            )
            yield pb.CreateBindingRequest(
                binding=made, session=session, request_id=new_request_id()
            )


def reply(
    to: Received, body: Body, properties: MessageArgs, virtual_host: str
) -> pb.PublishRequest:
    """The answer to a request. Raises QuorateError: nobody waits for one."""
    if not to.reply_to:
        raise precondition(
            "NO_REPLY_TO", f"message {to.id} of {to.queue!r} has no reply_to: nobody waits for it"
        )
    args: MessageArgs = {"correlation_id": to.correlation_id, **properties}
    made = publication("", to.reply_to, body, args, mandatory=True)
    return pb.PublishRequest(
        virtual_host=virtual_host, publications=[made], request_id=new_request_id()
    )
