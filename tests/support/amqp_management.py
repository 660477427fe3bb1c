"""The management API of the AMQP door, asked without sockets, over a cluster that answers what the
test says."""

from __future__ import annotations

import itertools
import json
from base64 import b64encode
from typing import Any, NamedTuple

from gateway.amqp.hall import Counts, Hall
from gateway.amqp.management.api import ManagementApi
from gateway.amqp.management.views import Shared
from gateway.auth.credentials import Access
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from quorate.v1 import scheduler_pb2
from tests.support.amqp_cluster import FakeCluster


class Answer(NamedTuple):
    """What came: `value` is the JSON."""

    status: int
    value: Any
    headers: dict[str, str]


def basic(user: str = "guest", token: str = "guest") -> str:
    """A header `Authorization`."""
    return "Basic " + b64encode(f"{user}:{token}".encode()).decode()


class Api:
    """The API with a cluster. Attributes: `now`: seconds, for rates."""

    def __init__(self, access: Access | None = None) -> None:
        self.cluster = FakeCluster()
        self.now = 100.0
        cluster: Any = self.cluster
        self.hall = Hall(
            upstream=cluster,
            access=access or Access(),
            instance="gateway",
            version="1.2.3",
            most=10,
            owner=None,
            counts=Counts(),
            connections={},
            tasks=set(),
            numbers=itertools.count(1),
        )
        self._api = api = ManagementApi(Shared(self.hall, monotonic=lambda: self.now))
        self.turns = api._turns
        self.caller("anonymous")
        hosts = [pb.VirtualHost(name="/")]
        self.answer("ListVirtualHosts", pb.ListVirtualHostsResponse(virtual_hosts=hosts))

    def answer(self, rpc: str, answer: Any) -> None:
        """What the cluster answers; or a function of the request that is awaited."""
        self.cluster.answers[rpc] = answer

    def caller(self, name: str, permissions: tuple[str, ...] = (), refuses: str = "") -> None:
        """Who asks."""
        self.answer(
            "GetCluster",
            scheduler_pb2.GetClusterResponse(
                cluster={"name": "demo", "etcd": {"refuses": refuses}},
                caller={"name": name, "permissions": permissions},
            ),
        )

    def queues(self, *rows: m.MessageQueue) -> None:
        """What there is in each virtual host."""
        self.answer("ListMessageQueues", pb.ListMessageQueuesResponse(message_queues=rows))

    async def get(
        self, path: str, shown: str | None = "", method: str = "GET", status: int = 200
    ) -> Answer:
        """Ask. `shown`: the header `Authorization`; empty: guest's; None: none."""
        target, _, query = path.partition("?")
        headers = [] if shown is None else [(b"authorization", (shown or basic()).encode())]
        scope = {
            "type": "http",
            "method": method,
            "path": target,
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "headers": headers,
        }
        sent: list[Any] = []

        async def receive() -> Any:
            raise AssertionError("a body is never read")

        async def send(message: Any) -> None:
            sent.append(message)

        await self._api(scope, receive, send)
        start, body = sent
        answered = {name.decode(): value.decode() for name, value in start["headers"]}
        found = Answer(start["status"], json.loads(body["body"]), answered)
        assert found.status == status, found.value
        return found


def queue(name: str, host: str = "/", **fields: Any) -> m.MessageQueue:
    """A message queue as the cluster lists it."""
    return m.MessageQueue(virtual_host=host, name=name, uid=f"{host} {name}", **fields)
