"""A transaction that settles deliveries, over changes of leaders: the same request is sent again
once the new leader knows what the consumer has.

A new leader that does not know it yet says UNKNOWN_DELIVERY, and so does one for a delivery that is
not the consumer's any more. A sign of life of the stream tells which it is.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

from quorate.client.messages.consuming.ledger import Ledger
from quorate.client.messages.rpcs import TRANSACT
from quorate.client.messages.values.transaction import UNKNOWN, is_lost
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.calls import Calls
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb

_PAUSE: Final = 0.05


class Settling(Protocol):
    """What is needed of a `Consumer`."""

    ledger: Ledger

    @property
    def changed(self) -> threading.Condition:
        """Held while the ledger is used."""

    def until_changed(self, end: float) -> bool:
        """Wait, the condition being held; False: it is too late. Raises why it ended."""


class AsyncSettling(Protocol):
    """What is needed of an `AsyncConsumer`."""

    changed: Any
    ledger: Ledger

    async def until_changed(self, end: float) -> bool:
        """As `Settling.until_changed`."""


def transact(
    calls: Calls, consumer: Settling, request: pb.TransactRequest, ids: Sequence[int]
) -> None:
    """Raises QuorateError: nothing was done; or UNAVAILABLE: that is not known."""
    done = False
    with consumer.changed:
        consumer.ledger.take(ids)
    try:
        _transact(calls, consumer, request, ids)
        done = True
    finally:
        with consumer.changed:
            consumer.ledger.taken(ids, settled=done)


def _transact(
    calls: Calls, consumer: Settling, request: pb.TransactRequest, ids: Sequence[int]
) -> None:
    ledger, end = consumer.ledger, time.monotonic() + calls.retry_for
    while True:
        with consumer.changed:
            ledger.check_held(ids)
            while not ledger.is_open and consumer.until_changed(end):
                pass
            breaks = ledger.breaks
        try:
            calls.call(TRANSACT, request, retry_for=0.0)
        except QuorateError as error:
            if time.monotonic() >= end:
                raise
            if is_lost(error):
                time.sleep(_PAUSE)
                continue
            if error.reason not in UNKNOWN:
                raise
            with consumer.changed:
                asked = ledger.ask()
                consumer.changed.notify_all()
                while ledger.breaks == breaks and not ledger.is_durable(asked):
                    if not consumer.until_changed(end):
                        raise
                if ledger.breaks == breaks:
                    raise
        else:
            return


async def transact_async(
    calls: AsyncCalls, consumer: AsyncSettling, request: pb.TransactRequest, ids: Sequence[int]
) -> None:
    """As `transact`."""
    done = False
    consumer.ledger.take(ids)
    try:
        await _transact_async(calls, consumer, request, ids)
        done = True
    finally:
        consumer.ledger.taken(ids, settled=done)


async def _transact_async(
    calls: AsyncCalls, consumer: AsyncSettling, request: pb.TransactRequest, ids: Sequence[int]
) -> None:
    ledger, end = consumer.ledger, time.monotonic() + calls.retry_for
    while True:
        ledger.check_held(ids)
        while not ledger.is_open and await consumer.until_changed(end):
            pass
        breaks = ledger.breaks
        try:
            await calls.call(TRANSACT, request, retry_for=0.0)
        except QuorateError as error:
            if time.monotonic() >= end:
                raise
            if is_lost(error):
                await asyncio.sleep(_PAUSE)
                continue
            if error.reason not in UNKNOWN:
                raise
            asked = ledger.ask()
            consumer.changed.notify_all()
            while ledger.breaks == breaks and not ledger.is_durable(asked):
                if not await consumer.until_changed(end):
                    raise
            if ledger.breaks == breaks:
                raise
        else:
            return
