"""The watch, its stream scripted: fragments, broken streams, and what is asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from aetcd.rpc import kv_pb2, rpc_pb2

from quorate.etcd import wire
from quorate.etcd.api import Compacted, EtcdUnauthenticated, WatchBatch
from quorate.etcd.watch import EtcdWatch

BROKEN = grpc.aio.AioRpcError(
    grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "connection lost", ""
)


def created(revision: int) -> Any:
    return rpc_pb2.WatchResponse(created=True, header=rpc_pb2.ResponseHeader(revision=revision))


def changes(*events: tuple[str, int], header: int = 0, fragment: bool = False) -> Any:
    """A response with one put for each (key, revision)."""
    response = rpc_pb2.WatchResponse(fragment=fragment)
    response.header.revision = header or max((revision for _, revision in events), default=0)
    for key, revision in events:
        kv = kv_pb2.KeyValue(key=key.encode(), mod_revision=revision)
        response.events.add(type=0, kv=kv)
    return response


@dataclass
class Script:
    """Stands for `Calls`: one list of answers for each stream that is opened."""

    streams: list[list[Any]]
    asked_from: list[int] = field(default_factory=list)
    failures: int = 0
    renewals: int = 0
    has_user: bool = True

    def __post_init__(self) -> None:
        self.channels = SimpleNamespace(closed=False, failed=self._failed)

    def _failed(self, endpoint: object) -> None:
        self.failures += 1

    async def endpoint(self, deadline: float) -> Any:
        return SimpleNamespace(address="scripted", stubs=SimpleNamespace(watch=self._open))

    async def stream_metadata(self, endpoint: object) -> tuple[tuple[str, str], ...]:
        return (("token", str(self.renewals)),)

    async def renew_token(self, endpoint: object, stale: str) -> str:
        assert stale == str(self.renewals)
        self.renewals += 1
        return str(self.renewals)

    def _open(self, metadata: object) -> Stream:
        return Stream(self, self.streams.pop(0))


@dataclass
class Stream:
    script: Script
    answers: list[Any]

    async def write(self, request: Any) -> None:
        assert request.create_request.fragment
        assert request.create_request.progress_notify
        self.script.asked_from.append(request.create_request.start_revision)

    async def read(self) -> Any:
        if not self.answers:
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer is wire.EOF:
            return answer
        return wire.watch_response(answer.SerializeToString())

    def cancel(self) -> None:
        self.answers = [wire.EOF]


async def follow(script: Script, count: int, start_revision: int = 0) -> Sequence[WatchBatch]:
    watch = EtcdWatch(script, b"a", b"z", start_revision)  # type: ignore[arg-type]
    async with watch as batches:
        return [await asyncio.wait_for(anext(batches), 5) for _ in range(count)]


def summary(batches: Sequence[WatchBatch]) -> list[tuple[int, list[tuple[str, int]]]]:
    return [
        (b.revision, [(e.kv.key.decode(), e.kv.mod_revision) for e in b.events]) for b in batches
    ]


async def test_a_revision_is_joined_from_its_fragments_before_it_is_handed_out() -> None:
    script = Script(
        [
            [
                created(5),
                changes(("a", 6), ("b", 6), fragment=True),
                changes(("c", 6), ("d", 7), fragment=True),
                changes(("e", 7)),
                changes(("f", 8)),
            ]
        ]
    )
    # The revisions before it need not wait for the last fragment.
    assert summary(await follow(script, 3)) == [
        (6, [("a", 6), ("b", 6), ("c", 6)]),
        (7, [("d", 7), ("e", 7)]),
        (8, [("f", 8)]),
    ]


async def test_what_was_handed_out_of_a_broken_response_is_not_asked_for_again() -> None:
    script = Script(
        [
            [
                created(9),
                changes(("a", 6), ("b", 7), fragment=True),
                changes(("c", 7), ("d", 8), fragment=True),
                BROKEN,
            ],
            [created(9), changes(("b", 7), ("c", 7), ("d", 8), ("e", 8))],
        ]
    )
    assert summary(await follow(script, 3, start_revision=6)) == [
        (6, [("a", 6)]),
        (7, [("b", 7), ("c", 7)]),
        (8, [("d", 8), ("e", 8)]),
    ]
    # From one revision earlier, as always; the repeat of it is dropped.
    assert script.asked_from == [5, 7]


async def test_fragments_of_a_broken_stream_are_forgotten_and_asked_for_again() -> None:
    script = Script(
        [
            [created(5), changes(("a", 6)), changes(("b", 7), fragment=True), BROKEN],
            [created(9), changes(("a", 6), ("b", 7), ("c", 7))],
        ]
    )
    assert summary(await follow(script, 2)) == [(6, [("a", 6)]), (7, [("b", 7), ("c", 7)])]
    # The second stream begins one revision early, and the repeat of it was dropped.
    assert script.asked_from == [0, 6]
    assert script.failures == 1


async def test_a_stream_broken_before_any_event_resumes_where_now_was() -> None:
    script = Script([[created(5), wire.EOF], [created(9), changes(("a", 6))]])
    assert summary(await follow(script, 1)) == [(6, [("a", 6)])]
    assert script.asked_from == [0, 5]


async def test_a_header_ahead_of_the_events_completes_nothing_more() -> None:
    script = Script([[created(9), changes(("a", 3), header=9), BROKEN], [created(9)]])
    watch = EtcdWatch(script, b"a", b"z", 3)  # type: ignore[arg-type]
    async with watch as batches:
        assert (await anext(batches)).revision == 3
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(batches), 0.05)
    assert script.asked_from == [2, 3]


async def test_progress_is_a_batch_without_events_and_moves_the_resume_point() -> None:
    script = Script([[created(5), changes(header=20), BROKEN], [created(30), changes(("a", 25))]])
    assert summary(await follow(script, 2)) == [(20, []), (25, [("a", 25)])]
    assert script.asked_from == [0, 20]


async def test_progress_behind_what_was_handed_out_is_dropped() -> None:
    script = Script([[created(5), changes(("a", 8)), changes(header=7), changes(("b", 9))]])
    assert summary(await follow(script, 2)) == [(8, [("a", 8)]), (9, [("b", 9)])]


async def test_compaction_while_behind_is_told() -> None:
    cancelled = rpc_pb2.WatchResponse(canceled=True, compact_revision=40)
    script = Script([[created(50), cancelled]])
    with pytest.raises(Compacted) as gone:
        await follow(script, 1, start_revision=10)
    assert gone.value.revision == 41


async def test_a_watch_denied_for_its_token_is_tried_once_with_a_new_one() -> None:
    denied = rpc_pb2.WatchResponse(
        created=True, canceled=True, cancel_reason="etcdserver: permission denied"
    )
    script = Script([[denied], [created(5), changes(("a", 6))]])
    assert summary(await follow(script, 1)) == [(6, [("a", 6)])]
    assert script.renewals == 1
    with pytest.raises(EtcdUnauthenticated):
        await follow(Script([[denied], [denied]]), 1)
    without_user = Script([[denied]], has_user=False)
    with pytest.raises(EtcdUnauthenticated):
        await follow(without_user, 1)
    assert without_user.renewals == 0


async def test_a_watch_that_the_server_ends_for_another_reason_goes_on() -> None:
    ended = rpc_pb2.WatchResponse(canceled=True, cancel_reason="etcdserver: leader changed")
    script = Script([[created(5), ended], [created(5), changes(("a", 6))]])
    assert summary(await follow(script, 1)) == [(6, [("a", 6)])]
