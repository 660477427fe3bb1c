"""A server that is given too many calls at once sheds some: the SDK asks again, and is bounded."""

from __future__ import annotations

import asyncio
from collections import Counter

import grpc
import pytest
from grpc.aio import Metadata

from quorate.client.aio import AsyncClient
from quorate.client.transport import acalls
from quorate.client.transport.rpcs import TryAgain, judge
from quorate.runtime.errors import QuorateError, to_status
from quorate.runtime.pending import MAX_PENDING, PENDING_OPTIONS
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import scheduler_pb2_grpc

CANCELLED = grpc.StatusCode.CANCELLED


class Busy(scheduler_pb2_grpc.SchedulerServicer):
    """Creates tasks, slowly, and counts how many at once."""

    def __init__(self) -> None:
        self.created: Counter[str] = Counter()
        self.at_once = self.most = 0

    async def CreateTask(self, request, context):
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        self.created[request.request_id] += 1
        answer = pb.CreateTaskResponse()
        answer.task.id = request.request_id
        return answer

    async def GetCluster(self, request, context):
        return pb.GetClusterResponse()


async def serve(servicer: Busy, *options: tuple[str, int]) -> tuple[grpc.aio.Server, str]:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0), *options))
    scheduler_pb2_grpc.add_SchedulerServicer_to_server(servicer, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    return server, address


async def test_calls_that_the_server_shed_are_made_again(monkeypatch):
    shed = []

    def judged(error):
        verdict = judge(error)
        if isinstance(verdict, TryAgain) and verdict.shed:
            shed.append(verdict)
        return verdict

    monkeypatch.setattr(acalls, "judge", judged)
    servicer = Busy()
    few = [(name, 5) for name, _ in PENDING_OPTIONS]
    server, address = await serve(servicer, *few)
    async with AsyncClient(address) as client:
        handles = await asyncio.gather(*(client.submit(abs, n) for n in range(400)))
    await server.stop(None)
    assert shed, "the server shed nothing: this test shows nothing"
    assert len({handle.id for handle in handles}) == 400
    assert set(servicer.created.values()) == {1}


async def test_one_client_has_a_bounded_number_of_calls_under_way(monkeypatch):
    monkeypatch.setattr(acalls, "MOST_CALLS", 20)
    servicer = Busy()
    server, address = await serve(servicer)
    async with AsyncClient(address) as client:
        await asyncio.gather(*(client.submit(abs, n) for n in range(200)))
    await server.stop(None)
    assert servicer.most <= 20
    assert len(servicer.created) == 200


def test_our_servers_let_more_wait_than_one_client_sends():
    assert acalls.MOST_CALLS + acalls.MOST_WAITS < MAX_PENDING
    assert {value for _, value in PENDING_OPTIONS} == {MAX_PENDING}


def failed(details: str, trailing: Metadata | None = None) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(CANCELLED, Metadata(), trailing or Metadata(), details, None)


@pytest.mark.parametrize("details", ["CANCELLED", "", "Received RST_STREAM with error code 8"])
def test_cancelled_without_a_word_is_a_call_that_was_shed(details):
    verdict = judge(failed(details))
    assert isinstance(verdict, TryAgain)
    assert verdict.shed
    assert verdict.error.reason == "TOO_MANY_CALLS"


@pytest.mark.parametrize("details", ["Locally cancelled by application!", "Channel closed!"])
def test_a_call_that_was_cancelled_here_is_not_made_again(details):
    assert not isinstance(judge(failed(details)), TryAgain)


def test_cancelled_as_a_schedulers_own_answer_is_the_answer():
    status = to_status(QuorateError(CANCELLED, "ASKED_TO", "it was")).SerializeToString()
    verdict = judge(failed("it was", Metadata(("grpc-status-details-bin", status))))
    assert not isinstance(verdict, TryAgain)
    assert isinstance(verdict, QuorateError)
    assert verdict.reason == "ASKED_TO"
