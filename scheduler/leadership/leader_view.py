"""Who leads, as the election in etcd says.

The newest word is handed to a callback. It says whose turn it is, not who may write: that is for
the journal's fence. While etcd does not answer, the last word stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import structlog
from google.protobuf.message import DecodeError

from quorate.etcd.api import EtcdError, KeyValue
from quorate.etcd.election import Election
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.ids import InstanceId
from quorate.runtime.timing.backoff import Backoff
from scheduler.api.forwarding.role import Leader

log = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


async def follow_election(election: Election, seen: Callable[[Leader | None], None]) -> None:
    """Tell `seen` who leads, now and at every change, until cancelled. None: nobody."""
    backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
    while True:
        try:
            async with aclosing(election.observe()) as leaders:
                async for kv in leaders:
                    backoff.reset()
                    seen(None if kv is None else leader_of(kv))
        except EtcdError as error:
            if not backoff.failures:
                log.warning("leader_view_etcd_unreachable", error=str(error))
        await asyncio.sleep(backoff.next())


def leader_of(kv: KeyValue) -> Leader:
    """The leader behind an election key. One that is no scheduler's has neither name nor address.

    (`etcdctl elect` can put any value there.)
    """
    try:
        record = CandidateRecord.FromString(kv.value)
    except DecodeError:
        record = CandidateRecord()
    return Leader(
        key=kv.key,
        elected=kv.create_revision,
        lease=kv.lease,
        name=record.name,
        instance=InstanceId(record.instance),
        address=record.address,
    )
