"""Message queues and streams: created, read, deleted, purged; messages moved between them."""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import Final

from google.protobuf.message import Message

from quorate.runtime.errors import invalid, not_found
from quorate.security.identity import current_caller
from quorate.security.message_names import check_exchange, check_message_queue, shows
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2
from scheduler.api.broker import validate, views
from scheduler.api.broker.arguments import spec_of
from scheduler.api.broker.exchanges import named
from scheduler.api.broker.pages import page
from scheduler.api.broker.steps import Steps
from scheduler.api.origin import caller_name
from scheduler.api.servicer import Context
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import Count, Moved, QueueAnswer
from scheduler.core.broker.consuming.replies import PREFIX
from scheduler.core.broker.handlers.consuming.replying import receiver
from scheduler.core.broker.queues import checks
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import MessageQueueSpec, QueueUid

# Names that the cluster makes, as RabbitMQ does.
GENERATED: Final = "amq.gen-"
MOST_MOVED: Final = 10_000
_USUALLY_MOVED: Final = 1_000


class MessageQueueCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._broker = steps.broker

    async def CreateMessageQueue(
        self, request: pb.CreateMessageQueueRequest, context: Context
    ) -> Message:
        if not request.HasField("message_queue"):
            raise invalid("message_queue", "is required; it may be empty")
        asked = request.message_queue
        host = validate.virtual_host(asked.virtual_host)
        name = asked.name or _generated(host, request.request_id)
        validate.name("message_queue.name", name)
        session = validate.session(request.session)
        spec = spec_of(asked.spec)
        _check_dead_letters(host, spec)
        uid = QueueUid(secrets.token_hex(8))

        def make(token: e.Token) -> object:
            reserved = asked.name.startswith(validate.RESERVED)
            if reserved and (host, name) not in self._broker.state.names:
                raise invalid(
                    "message_queue.name",
                    f"{name[:80]!r}: names that begin with {validate.RESERVED!r} are reserved",
                    reason="RESERVED_NAME",
                )
            return e.MessageQueueDeclared(host, name, spec, session, uid, token)

        answer = await self._steps.change(
            *("CreateMessageQueue", request, context, "message_queue", named(host, name)),
            make,
            lambda answer: isinstance(answer, QueueAnswer) and answer.created,
        )
        assert isinstance(answer, QueueAnswer)
        return pb.CreateMessageQueueResponse(message_queue=views.declared(answer))

    async def GetMessageQueue(
        self, request: pb.GetMessageQueueRequest, context: Context
    ) -> Message:
        host = validate.virtual_host(request.virtual_host)
        name = validate.name("name", request.name)
        session = validate.session(request.session)
        if name.startswith(PREFIX):
            return await self._reply_to(host, name)
        # A virtual host that is not there is what is missing.
        self._broker.state.router.host(host)
        queue = self._broker.state.find_queue(host, name)
        view = None
        consumers: list[pb.MessageQueueConsumer] = []
        if queue is not None:
            checks.owner(queue.row, session)
            view = self._view(queue)
            consumers = views.consumers(self._broker.state.consuming.served.get(queue.row.uid))
        await self._broker.readable()
        if view is None:
            raise not_found("message_queue", name)
        return pb.GetMessageQueueResponse(message_queue=view, consumers=consumers)

    async def ListMessageQueues(
        self, request: pb.ListMessageQueuesRequest, context: Context
    ) -> Message:
        state = self._broker.state
        host = state.router.host(validate.virtual_host(request.virtual_host))
        caller = current_caller()
        names, token = await page(
            *("message queues", (host.name,), host.queues, str),
            *(request.page_size, request.page_token),
            wanted=lambda name: shows(caller, host.name, name),
        )
        # Some may have gone while the page was looked for.
        found = [state.find_queue(host.name, name) for name in names]
        seen = [self._listed(queue) for queue in found if queue is not None]
        await self._broker.readable()
        return pb.ListMessageQueuesResponse(message_queues=seen, next_page_token=token)

    async def DeleteMessageQueue(
        self, request: pb.DeleteMessageQueueRequest, context: Context
    ) -> Message:
        host = validate.virtual_host(request.virtual_host)
        name = validate.name("name", request.name)
        session = validate.session(request.session)
        unused, empty = request.if_unused, request.if_empty
        answer = await self._steps.change(
            *("DeleteMessageQueue", request, context, "message_queue", named(host, name)),
            lambda token: e.MessageQueueDeleteAsked(host, name, session, unused, empty, token),
        )
        assert isinstance(answer, Count)
        return pb.DeleteMessageQueueResponse(messages=answer.messages)

    async def PurgeMessageQueue(
        self, request: pb.PurgeMessageQueueRequest, context: Context
    ) -> Message:
        host = validate.virtual_host(request.virtual_host)
        name = validate.name("name", request.name)
        session = validate.session(request.session)
        answer = await self._steps.change(
            *("PurgeMessageQueue", request, context, "message_queue", named(host, name)),
            lambda token: e.PurgeAsked(host, name, session, token),
        )
        assert isinstance(answer, Count)
        return pb.PurgeMessageQueueResponse(messages=answer.messages)

    async def MoveMessages(self, request: pb.MoveMessagesRequest, context: Context) -> Message:
        host = validate.virtual_host(request.virtual_host)
        name = validate.name("name", request.name)
        destination = validate.name("destination", request.destination)
        session = validate.session(request.session)
        most = validate.count("max_messages", request.max_messages, _USUALLY_MOVED, MOST_MOVED)
        answer = await self._steps.change(
            *("MoveMessages", request, context, "message_queue", named(host, name)),
            lambda token: e.MoveAsked(host, name, destination, most, token, session),
            lambda answer: isinstance(answer, Moved) and answer.moved > 0,
        )
        assert isinstance(answer, Moved)
        return pb.MoveMessagesResponse(moved=answer.moved, ready=answer.ready)

    async def _reply_to(self, host: str, name: str) -> Message:
        """Whether somebody waits for direct replies at an address."""
        there = receiver(self._broker.state, host, "", name.encode()) is not None
        await self._broker.readable()
        if not there:
            raise not_found("message_queue", name)
        view = message_pb2.MessageQueue(virtual_host=host, name=name, consumers=1)
        return pb.GetMessageQueueResponse(message_queue=view)

    def _listed(self, queue: MessageQueue) -> message_pb2.MessageQueue:
        """A queue for anybody: whoever knows the session of an exclusive one could use it."""
        view = self._view(queue)
        session = self._broker.state.sessions.get(queue.row.owner)
        if session is None or session.caller != caller_name():
            view.ClearField("owner_session")
        return view

    def _view(self, queue: MessageQueue) -> message_pb2.MessageQueue:
        return views.message_queue(queue, self._broker.state.consuming.served.get(queue.row.uid))


def _check_dead_letters(virtual_host: str, spec: MessageQueueSpec) -> None:
    """Raises PERMISSION_DENIED: the caller may not name where dead letters go.

    By way of the default exchange they go to the queue that the routing key names: to the message's
    own without another one, and that may be anything.
    """
    caller = current_caller()
    if caller is None or spec.dead_letter_exchange is None:
        return
    if spec.dead_letter_exchange:
        field = "message_queue.spec.dead_letter_exchange"
        check_exchange(caller, field, virtual_host, spec.dead_letter_exchange)
    else:
        key = spec.dead_letter_routing_key or ""
        field = "message_queue.spec.dead_letter_routing_key"
        check_message_queue(caller, field, virtual_host, key)


def _generated(virtual_host: str, request_id: str) -> str:
    """A name that nobody has. A call that is repeated with its request id gets the same one."""
    if not request_id:
        return GENERATED + secrets.token_urlsafe(16)
    known = "\0".join((caller_name(), virtual_host, request_id))
    return GENERATED + blake2b(known.encode(), digest_size=16).hexdigest()
