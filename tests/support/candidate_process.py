"""A candidate in a process of its own, so that tests can kill, stop and continue it.

Run as `python -m tests.support.candidate_process ETCD PREFIX NAME`. It stands for election, watches
whoever leads, and while it leads commits every few milliseconds, behind its epoch's fence, as long
as it trusts its lease. What it does is told on standard output, one JSON object a line, each with
`at`: the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import MutableMapping
from typing import Any, NoReturn

import grpc
import structlog

from quorate.etcd.api import Compare, Etcd, Put
from quorate.etcd.client import EtcdClient
from quorate.etcd.election import Election
from quorate.etcd.journal.fence import Deposed
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.ids import instance_id
from quorate.runtime.timing.clock import SystemClock
from scheduler.leadership.elector import Leadership
from scheduler.leadership.failure_detector import LeaderWatch
from scheduler.leadership.leader_view import follow_election
from scheduler.leadership.trust import Trust
from scheduler.telemetry.health import InstanceHealth

TTL = 2
_BETWEEN_COMMITS = 0.005


def tell(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, "at": time.monotonic(), **fields}), flush=True)  # noqa: T201


def _tell_log(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> NoReturn:
    tell(str(fields.pop("event")), **{key: str(value) for key, value in fields.items()})
    raise structlog.DropEvent


class Leading:
    """What this process does while it leads."""

    def __init__(self, etcd: Etcd, prefix: bytes) -> None:
        self._etcd = etcd
        self._prefix = prefix

    async def lead(self, epoch: int, key: bytes, trust: Trust) -> None:
        fence = Compare(key, "create", "=", epoch)
        commit = Put(self._prefix + b"commits", b"%d" % epoch)
        commits = 0
        last = 0.0
        try:
            while True:
                now = time.monotonic()
                if trust.ok(now):
                    if not (await self._etcd.txn([fence], [commit])).succeeded:
                        raise Deposed("the leader key is gone")
                    if not commits:
                        tell("first commit", epoch=epoch)
                    commits, last = commits + 1, now
                await asyncio.sleep(_BETWEEN_COMMITS)
        finally:
            tell("stopped leading", epoch=epoch, commits=commits, last=last)


async def run(endpoint: str, prefix: bytes, name: str) -> None:
    instance = instance_id()
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    InstanceHealth(instance).register(server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with EtcdClient([endpoint]) as etcd:
        election = Election(etcd, prefix + b"election/scheduler")
        record = CandidateRecord(name=name, instance=instance, address=address)
        clock = SystemClock()
        lead = Leading(etcd, prefix).lead
        leadership = Leadership(etcd, election, record, lead, clock=clock, ttl=TTL)
        watch = LeaderWatch(etcd, clock, instance, revoked=leadership.look_again)
        main = asyncio.current_task()
        assert main is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, main.cancel)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(follow_election(election, watch.follow))
                tasks.create_task(watch.run())
                tasks.create_task(leadership.run())
        except asyncio.CancelledError:
            tell("left")
        finally:
            await server.stop(None)


if __name__ == "__main__":
    structlog.configure(processors=[_tell_log])
    asyncio.run(run(sys.argv[1], sys.argv[2].encode(), sys.argv[3]))
