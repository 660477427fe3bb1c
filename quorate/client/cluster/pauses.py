"""`client.pauses`: hold back all tasks with certain labels, of a tenant or of a queue.

    client.pauses.create("outage", labels={"app": "mail"}, reason="the vendor is down", until=noon)
    client.pauses.end("outage")

Each method exists on `AsyncClient.pauses` too, as a coroutine or an asynchronous iterator. Answers
are `quorate.v1.pause_pb2.Pause`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator, Mapping

from quorate.client.cluster import requests
from quorate.client.cluster.requests import PauseScope
from quorate.client.pages import apages, list_pauses
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.calls import Calls
from quorate.client.transport.rpcs import CREATE_PAUSE, DELETE_PAUSE, LIST_PAUSES
from quorate.v1 import pause_pb2 as pb


class Pauses:
    """The pauses of a cluster, through one client."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def create(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        fairness_key: str = "",
        queue: str = "",
        scope: PauseScope = "dispatch",
        reason: str = "",
        until: dt.datetime | None = None,
    ) -> pb.Pause:
        """Pause all tasks and jobs that match, also those that come later. What runs goes on.

        Args:
            labels, fairness_key, queue: of the tasks; all that are given must match, and one of
                them must be given.
            scope: "dispatch": none of them starts; "admission": new ones are refused; or "both".
            reason: for people.
            until: when it ends by itself; without it `end` does.

        Raises QuorateError: ALREADY_EXISTS; INVALID_ARGUMENT naming the argument.
        """
        request = requests.create_pause(name, labels, fairness_key, queue, scope, reason, until)
        return self._calls.call(CREATE_PAUSE, request).pause

    def list(self) -> Iterator[pb.Pause]:
        """The pauses that hold, by name."""
        return list_pauses(self._calls)

    def end(self, name: str) -> None:
        """End a pause: what waited for it may start. Raises QuorateError NOT_FOUND."""
        # The call names the queue of the pause: by that it is decided who may end it.
        queue = next((one.queue for one in self.list() if one.name == name), "")
        self._calls.call(DELETE_PAUSE, requests.delete_pause(name, queue))


class AsyncPauses:
    """As `Pauses`, for one event loop."""

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    async def create(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        fairness_key: str = "",
        queue: str = "",
        scope: PauseScope = "dispatch",
        reason: str = "",
        until: dt.datetime | None = None,
    ) -> pb.Pause:
        """As `Pauses.create`."""
        request = requests.create_pause(name, labels, fairness_key, queue, scope, reason, until)
        return (await self._calls.call(CREATE_PAUSE, request)).pause

    async def list(self) -> AsyncIterator[pb.Pause]:
        """As `Pauses.list`."""
        request = pb.ListPausesRequest()
        async for answer in apages(self._calls, LIST_PAUSES, request):
            for pause in answer.pauses:
                yield pause

    async def end(self, name: str) -> None:
        """As `Pauses.end`."""
        queue = ""
        async for one in self.list():
            if one.name == name:
                queue = one.queue
        await self._calls.call(DELETE_PAUSE, requests.delete_pause(name, queue))
