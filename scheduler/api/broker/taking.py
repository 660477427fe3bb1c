"""Messages that are read or taken without a session: PeekMessages, ReceiveMessages."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from quorate.v1 import broker_pb2 as pb
from scheduler.api.broker import validate, views
from scheduler.api.servicer import Context
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import Received
from scheduler.engine.broker.driver import BrokerDriver

MOST_PEEKED: Final = 100
_USUALLY_PEEKED: Final = 10
MOST_RECEIVED: Final = 1_000


class TakingCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, broker: BrokerDriver) -> None:
        self._broker = broker

    async def PeekMessages(self, request: pb.PeekMessagesRequest, context: Context) -> Message:
        host = validate.virtual_host(request.virtual_host)
        name = validate.name("name", request.name)
        most = validate.count("max_messages", request.max_messages, _USUALLY_PEEKED, MOST_PEEKED)
        offset, session = request.offset, validate.session(request.session)
        answer = await self._broker.call(
            lambda token: e.PeekAsked(host, name, most, offset, token, session)
        )
        assert isinstance(answer, Received)
        return pb.PeekMessagesResponse(messages=views.deliveries(answer.deliveries, name))

    async def ReceiveMessages(
        self, request: pb.ReceiveMessagesRequest, context: Context
    ) -> Message:
        host = validate.virtual_host(request.virtual_host)
        name = validate.name("name", request.name)
        session = validate.session(request.session)
        most = validate.count("max_messages", request.max_messages, 1, MOST_RECEIVED)
        answer = await self._broker.call(
            lambda token: e.ReceiveAsked(host, name, session, most, token)
        )
        assert isinstance(answer, Received)
        return pb.ReceiveMessagesResponse(
            messages=views.deliveries(answer.deliveries, name), ready=answer.ready
        )
