"""A transaction of a channel: Transact, in which messages and settlements are one commit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.amqp.cluster.calls import Calls
from gateway.amqp.protocol.effects import Commit, Publication
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2

_UNROUTABLE: Final = "ROUTE_NOT_FOUND"
_PLACE: Final = re.compile(r"publications\[(\d+)\]")


async def transact(
    calls: Calls, virtual_host: str, session: str, commit: Commit
) -> list[Publication]:
    """Commit; the mandatory messages that reach no queue, which are in none.

    The cluster refuses a transaction with such a message. An AMQP client gets the message back,
    and all others are committed: so it is asked again without. Raises QuorateError.
    """
    publications = list(commit.publications)
    unroutable: list[Publication] = []
    while publications or commit.settles:
        try:
            await calls.ask("Transact", _request(virtual_host, session, publications, commit))
        except QuorateError as error:
            found = _PLACE.match(error.field)
            if error.reason != _UNROUTABLE or found is None:
                raise
            unroutable.append(publications.pop(int(found[1])))
        else:
            break
    return unroutable


def _request(
    virtual_host: str, session: str, publications: Sequence[Publication], commit: Commit
) -> pb.TransactRequest:
    request = pb.TransactRequest(virtual_host=virtual_host)
    for one in publications:
        request.publications.append(
            message_pb2.Publication(
                message=message_pb2.Message.FromString(one.message),
                mandatory=one.returned is not None,
            )
        )
    if commit.settles:
        request.session = session
    for settle in commit.settles:
        source = settle.source
        request.settles.append(
            pb.Settle(
                consumer=source.consumer,
                queue="" if source.consumer else source.queue,
                ids=settle.ids,
                outcome=settle.outcome,  # type: ignore[arg-type]
            )
        )
    return request
