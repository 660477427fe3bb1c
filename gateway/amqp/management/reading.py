"""What one request reads of the cluster: bounded in calls and in rows, each call the caller's.

A caller with patterns lists what it may name; bindings it lists exchange by exchange.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from google.protobuf.message import Message

from gateway.amqp.management.failures import Failure, of_cluster
from gateway.amqp.management.login import CALL
from gateway.auth.credentials import CallerCluster
from gateway.cluster.methods import Method, method_of
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2

_BROKER: Final = pb.DESCRIPTOR.services_by_name["Broker"]
_METHODS: Final[dict[str, Method]] = {
    name: method_of(_BROKER, name)
    for name in (
        *("ListVirtualHosts", "ListExchanges", "GetExchange", "ListBindings"),
        *("ListMessageQueues", "GetMessageQueue", "ListMessagePolicies"),
    )
}
# Calls of one request, and rows that it reads: some 10 MB.
MOST_CALLS: Final = 64
MOST_ROWS: Final = 10_000
_PAGE: Final = 1_000


class Reading:
    """Of one request.

    Args:
        patterns: the caller has some.
    """

    def __init__(self, cluster: CallerCluster, *, patterns: bool) -> None:
        self._cluster = cluster
        self._patterns = patterns
        self._calls = self._rows = 0

    async def hosts(self, host: str | None) -> list[str]:
        """Virtual hosts: this one (it may not exist), or all."""
        if host is not None:
            return [host]
        request = pb.ListVirtualHostsRequest()
        return [row.name async for row in self._all("ListVirtualHosts", request, "virtual_hosts")]

    async def queues(self, host: str | None) -> list[message_pb2.MessageQueue]:
        """Message queues and streams, by virtual host and name."""
        found: list[message_pb2.MessageQueue] = []
        for name in await self.hosts(host):
            request = pb.ListMessageQueuesRequest(virtual_host=name)
            found += [
                one async for one in self._all("ListMessageQueues", request, "message_queues")
            ]
        return found

    async def queue(self, host: str, name: str) -> pb.GetMessageQueueResponse:
        """One, with its consumers."""
        request = pb.GetMessageQueueRequest(virtual_host=host, name=name)
        answer: pb.GetMessageQueueResponse = await self._ask("GetMessageQueue", request)
        return answer

    async def exchanges(self, host: str | None) -> list[message_pb2.Exchange]:
        """Exchanges, by virtual host and name."""
        found: list[message_pb2.Exchange] = []
        for name in await self.hosts(host):
            request = pb.ListExchangesRequest(virtual_host=name)
            found += [one async for one in self._all("ListExchanges", request, "exchanges")]
        return found

    async def exchange(self, host: str, name: str) -> message_pb2.Exchange:
        """One."""
        request = pb.GetExchangeRequest(virtual_host=host, name=name)
        answer: pb.GetExchangeResponse = await self._ask("GetExchange", request)
        return answer.exchange

    async def bindings(self, host: str | None, **of: str) -> list[message_pb2.Binding]:
        """Bindings of virtual hosts; `of`: as in ListBindingsRequest."""
        found: list[message_pb2.Binding] = []
        for name in await self.hosts(host):
            found += await self._bindings(name, of)
        return found

    async def policies(self, host: str | None) -> list[message_pb2.MessagePolicy]:
        """Policies and operator policies. A caller with patterns may list none."""
        found: list[message_pb2.MessagePolicy] = []
        for name in () if self._patterns else await self.hosts(host):
            request = pb.ListMessagePoliciesRequest(virtual_host=name)
            found += (await self._ask("ListMessagePolicies", request)).policies
        return found

    async def _bindings(self, host: str, of: dict[str, str]) -> list[message_pb2.Binding]:
        ways = [of]
        if self._patterns and not of:
            ways = [{"source": one.name} for one in await self.exchanges(host) if one.bindings]
        found: list[message_pb2.Binding] = []
        for way in ways:
            given: Any = way
            request = pb.ListBindingsRequest(virtual_host=host, **given)
            found += [one async for one in self._all("ListBindings", request, "bindings")]
        return found

    async def _all(self, rpc: str, request: Any, field: str) -> AsyncIterator[Any]:
        """Of all pages of a list."""
        request.page_size = _PAGE
        while True:
            answer = await self._ask(rpc, request)
            rows = getattr(answer, field)
            self._rows += len(rows)
            if self._rows > MOST_ROWS:
                raise _too_much(f"more than {MOST_ROWS} entries")
            for row in rows:
                yield row
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token
            await asyncio.sleep(0)

    async def _ask(self, rpc: str, request: Message) -> Any:
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise _too_much(f"more than {MOST_CALLS} calls to the cluster")
        try:
            return await self._cluster.unary(_METHODS[rpc], request, timeout=CALL, reads=True)
        except QuorateError as error:
            raise of_cluster(error) from error


def _too_much(what: str) -> Failure:
    text = f"the answer takes {what}; ask for one virtual host, or for one queue or exchange"
    return Failure(400, "too_many_entries", text)
