"""Topic `logs` over broken streams: which attempt is gone on with, and when it is given up."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from gateway.live.messages.filters import LogFilter
from gateway.live.topics import logs
from gateway.live.topics.logs import LogTail
from quorate.v1 import scheduler_pb2 as pb
from tests.support.live import Seat, fault, task_id

AWAY = fault(grpc.StatusCode.UNAVAILABLE, "NODE_UNAVAILABLE")


class Reader(Seat):
    """Reads one log."""

    def finish(self, rest):
        self.send(rest)

    async def drained(self):
        pass


class Streams:
    """Answers StreamTaskLogs call by call: chunks, and seconds between."""

    def __init__(self, *calls):
        self.calls = list(calls)
        self.asked = []

    async def stream(self, method, request, *, timeout=None):
        self.asked.append(request)
        for step in self.calls.pop(0):
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield step


def chunk(offset, data, attempt):
    part = pb.LogChunk(stream=pb.LOG_STREAM_STDOUT, offset=offset, data=data, attempt=attempt)
    return pb.StreamTaskLogsResponse(chunk=part)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(logs, "_AGAIN", 0.01)
    monkeypatch.setattr(logs, "PATIENCE", 0.1)


async def run(streams, **wanted):
    reader = Reader()
    await LogTail(LogFilter(task_id(1), **wanted), "").run(streams, reader)
    return reader.told


async def test_the_latest_attempt_is_the_same_one_after_a_break():
    streams = Streams([chunk(0, b"one", 1), AWAY], [chunk(3, b" two", 1)])
    told = await run(streams)
    assert [message.get("text") for message in told] == ["one", " two", None]
    # By then another attempt may be the latest.
    assert [request.attempt for request in streams.asked] == [0, 1]


async def test_a_log_that_was_quiet_for_long_goes_on_after_a_break():
    quiet = [0.2, AWAY]
    streams = Streams([chunk(0, b"one", 1), *quiet], quiet, [AWAY], [chunk(3, b" two", 1)])
    told = await run(streams)
    assert [message.get("text") for message in told] == ["one", " two", None]


async def test_a_node_that_stays_away_is_given_up():
    streams = Streams([chunk(0, b"one", 1), AWAY], *[[AWAY]] * 100)
    told = await run(streams)
    assert told[0]["text"] == "one"
    assert told[1].code is grpc.StatusCode.UNAVAILABLE
    assert 2 < len(streams.asked) < 20


async def test_pieces_say_when_they_were_written_where_that_is_known():
    known, unknown = chunk(0, b"one", 1), chunk(3, b"two", 1)
    known.chunk.time.FromMilliseconds(1_700_000_000_500)
    told = await run(Streams([known, unknown]))
    assert told[0]["time"] == "2023-11-14T22:13:20.500Z"
    assert "time" not in told[1]


async def test_how_much_there_is_comes_first_and_again_after_a_break():
    extent = pb.StreamTaskLogsResponse(extent=pb.LogExtent(stdout={"size": 9, "lines_before": 4}))
    streams = Streams([extent, chunk(6, b"one", 1), AWAY], [extent, chunk(9, b" two", 1)])
    told = await run(streams, tail_lines=1)
    assert [one["kind"] for one in told] == ["extent", "lines", "extent", "lines", "end"]
    assert told[0]["extent"]["stdout"] == {"size": "9", "linesBefore": "4"}
    assert [request.with_extent for request in streams.asked] == [True, True]


async def test_a_node_that_is_away_is_said_before_it_is_given_up(monkeypatch):
    monkeypatch.setattr(logs, "SAID_AFTER", 0.0)
    streams = Streams([chunk(0, b"one", 1), AWAY], [AWAY], [AWAY], [chunk(3, b" two", 1)])
    told = await run(streams)
    assert [one["kind"] for one in told] == ["lines", "away", "lines", "end"]
    assert told[1]["problem"]["reason"] == "NODE_UNAVAILABLE"
