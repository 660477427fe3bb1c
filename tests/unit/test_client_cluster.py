"""`client.pauses` and `client.nodes`: what both clients ask for, and what they refuse to send."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from quorate.client.cluster.nodes import AsyncNodes, Nodes
from quorate.client.cluster.pauses import AsyncPauses, Pauses
from quorate.client.transport.rpcs import DELETE_PAUSE, LIST_NODES, LIST_PAUSES
from quorate.runtime.errors import QuorateError
from quorate.v1 import node_pb2, pause_pb2, queue_pb2, scheduler_pb2

NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
PAUSES = [pause_pb2.Pause(name="a"), pause_pb2.Pause(name="b", queue="mail")]
NODES = [node_pb2.Node(name="n1"), node_pb2.Node(name="n2")]


class Transport:
    """Answers with pages of one, and remembers the requests."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def call(self, rpc: Any, request: Any) -> Any:
        self.sent.append(type(request).FromString(request.SerializeToString()))
        if rpc in (LIST_PAUSES, LIST_NODES):
            place = int(request.page_token or 0)
            token = str(place + 1) if place < 1 else ""
            if rpc is LIST_NODES:
                return rpc.response(nodes=[NODES[place]], next_page_token=token)
            return rpc.response(pauses=[PAUSES[place]], next_page_token=token)
        return rpc.response()

    async def acall(self, rpc: Any, request: Any) -> Any:
        return self.call(rpc, request)


class Later:
    """The transport of the asynchronous client."""

    def __init__(self, transport: Transport) -> None:
        self.call = transport.acall


Run = Callable[[str, Callable[..., Any]], Any]


def finished(found: Any) -> Any:
    """What a coroutine or an asynchronous iterator gives, none of which waits here."""
    if inspect.isasyncgen(found):

        def values() -> Iterator[Any]:
            while True:
                try:
                    yield finished(anext(found))
                except StopAsyncIteration:
                    return

        return list(values())
    if not hasattr(found, "__await__"):
        return found
    try:
        next(iter(found.__await__()))
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest) -> tuple[Transport, Any, Any]:
    """A transport, and what both clients have: `pauses` and `nodes`."""
    transport: Any = Transport()
    later: Any = Later(transport)
    if request.param == "sync":
        return transport, Pauses(transport), Nodes(transport)
    return transport, AsyncPauses(later), AsyncNodes(later)


def test_a_pause_says_what_it_holds_back_and_until_when(both):
    transport, pauses, _ = both
    made = pauses.create(
        "outage",
        labels={"app": "mail"},
        fairness_key="acme",
        queue="mail",
        scope="both",
        reason="the vendor is down",
        until=NOON,
    )
    assert finished(made) == pause_pb2.Pause()
    (request,) = transport.sent
    wanted = pause_pb2.Pause(
        name="outage",
        labels={"app": "mail"},
        fairness_key="acme",
        queue="mail",
        scope=queue_pb2.PAUSE_SCOPE_BOTH,
        reason="the vendor is down",
    )
    wanted.until.FromDatetime(NOON)
    assert request.pause == wanted
    assert request.request_id


def test_all_pages_of_a_list_are_read(both):
    _, pauses, nodes = both
    assert list(finished(pauses.list())) == PAUSES
    assert list(finished(nodes.list())) == NODES


@pytest.mark.parametrize(("name", "queue"), [("a", ""), ("b", "mail"), ("gone", "")])
def test_who_ends_a_pause_need_not_know_its_queue(both, name: str, queue: str):
    transport, pauses, _ = both
    finished(pauses.end(name))
    request = transport.sent[-1]
    assert isinstance(request, DELETE_PAUSE.request)
    assert (request.name, request.queue) == (name, queue)


def test_taints_are_written_as_on_the_command_line(both):
    transport, _, nodes = both
    finished(nodes.taint("n1", "dedicated=ml"))
    finished(nodes.taint("n1", "repair"))
    finished(nodes.untaint("n1", "dedicated"))
    finished(nodes.untaint("n1", "dedicated="))
    finished(nodes.get("n1"))
    finished(nodes.dismiss("n1"))
    first, second, third, fourth, fifth, sixth = transport.sent
    assert (first.name, first.taint.key, first.taint.value) == ("n1", "dedicated", "ml")
    assert (second.taint.key, second.taint.value) == ("repair", "")
    assert (third.key, third.HasField("value")) == ("dedicated", False)
    assert (fourth.key, fourth.HasField("value")) == ("dedicated", True)
    assert fifth == scheduler_pb2.GetNodeRequest(name="n1")
    assert isinstance(sixth, scheduler_pb2.DismissNodeRequest)
    assert (sixth.name, bool(sixth.request_id)) == ("n1", True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"scope": "all"}, "scope: 'all' is not one of dispatch, admission, both"),
        ({"labels": "app=mail"}, "labels: must be a mapping"),
        ({"labels": {"app": 7}}, r"labels\['app'\]: must be text, not int"),
        ({"until": NOON.replace(tzinfo=None)}, "until: a datetime must have a time zone"),
        ({"until": 60}, "until: 60 is not a datetime"),
        ({"queue": None}, "queue: must be text, not NoneType"),
    ],
)
def test_what_no_pause_can_be_is_refused_and_named(both, arguments: dict[str, Any], sentence: str):
    transport, pauses, _ = both
    with pytest.raises(QuorateError, match=sentence):
        finished(pauses.create("outage", **arguments))
    assert not transport.sent


def test_a_taint_that_is_no_text_is_refused(both):
    transport, _, nodes = both
    for call in (nodes.taint, nodes.untaint):
        with pytest.raises(QuorateError, match="taint: must be text, not int"):
            finished(call("n1", 7))
    assert not transport.sent
