"""Transact: messages are published and deliveries settled in one commit."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from quorate.runtime.errors import invalid
from quorate.v1 import broker_pb2 as pb
from scheduler.api.asking import identified
from scheduler.api.broker import validate
from scheduler.api.broker.consuming.requests import settle
from scheduler.api.broker.publishing.publications import Reader, enveloped, weight_of
from scheduler.api.broker.publishing.results import producer_key, transaction_key
from scheduler.api.origin import caller_name
from scheduler.api.servicer import Context
from scheduler.api.validate import at_most
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import PublishAnswer
from scheduler.core.broker.handlers.transactions.bounds import check_messages
from scheduler.engine.broker.driver import BrokerDriver

MOST_SETTLES: Final = 1_024


class TransactCalls:
    """One method for the RPC; it raises QuorateError."""

    def __init__(self, broker: BrokerDriver, max_message: int) -> None:
        self._broker = broker
        self._max_message = max_message

    async def Transact(self, request: pb.TransactRequest, context: Context) -> Message:
        host = validate.virtual_host(request.virtual_host)
        if not (request.publications or request.settles):
            raise invalid("publications", "a transaction has publications or settles, or both")
        check_messages(len(request.publications))
        at_most("settles", len(request.settles), MOST_SETTLES, "settles")
        session = validate.session(request.session)
        if request.settles and not session:
            raise invalid("session", "is required, as the transaction settles deliveries")
        settles = []
        for place, one in enumerate(request.settles):
            field = f"settles[{place}]"
            if not one.ids:
                raise invalid(f"{field}.ids", "at least one is required")
            settles.append(settle(one, session, field))
        producer = producer_key(host, validate.short("producer", request.producer))
        publications = Reader(host, self._max_message).read_all(enveloped(request.publications))
        key = transaction_key(host, request.request_id)
        digest = identified("Transact", request).digest
        event = e.Transacted
        caller = caller_name()
        answer = await self._broker.call(
            lambda token: event(
                host, publications, session, settles, token, caller, producer, key, digest
            ),
            weight_of(publications),
            publishes=bool(publications),
        )
        assert isinstance(answer, PublishAnswer)
        return pb.TransactResponse()
