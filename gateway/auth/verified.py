"""Which tokens the cluster accepts, found out before the gateway spends anything on a request.

The gateway cannot judge a token itself (see `credentials`). Before it reads a body, or shows what
is its own, it makes one small call with the token; a good answer is remembered for `FRESH` seconds.
What the request then asks of the cluster is judged there again, each time: a token that was revoked
a moment ago gets a body read, and nothing else. Refusals are not remembered: a new token works at
once.

Memory: `MOST` digests. Callers that ask about the same token at the same time share one call.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

import grpc
from google.protobuf.message import Message

from gateway.auth.credentials import Access
from gateway.cluster.calls import Upstream
from gateway.cluster.methods import Method, method_of
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2, service_pb2

FRESH: Final = 30.0
MOST: Final = 4_096

PROBE: Final = method_of(scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"], "GetCluster")
_LIST_SERVICES: Final = method_of(
    service_pb2.DESCRIPTOR.services_by_name["ServiceRegistry"], "ListServices"
)
C = grpc.StatusCode
# The cluster could not be asked: nothing is known of the token.
_UNTOLD: Final = frozenset((C.UNAVAILABLE, C.DEADLINE_EXCEEDED, C.CANCELLED))


class Verified:
    """The tokens that one probe was answered for. Lives in one event loop.

    Args:
        method, request: the probe. It changes nothing.
        refused: codes of an answer that mean that the token is not good enough.
    """

    def __init__(
        self,
        upstream: Upstream,
        access: Access,
        method: Method,
        request: Message,
        refused: frozenset[grpc.StatusCode],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstream = upstream
        self._access = access
        self._method = method
        self._request = request
        self._refused = refused | _UNTOLD
        self._monotonic = monotonic
        # By digest: until when it is taken as good; the oldest first.
        self._good: OrderedDict[bytes, float] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[None]] = {}

    async def check(self, token: str, timeout: float) -> None:
        """Return when the token ("" for none) is good.

        Args:
            timeout: seconds to wait for the cluster.

        Raises:
            QuorateError: the cluster's refusal, UNAVAILABLE, or DEADLINE_EXCEEDED.
        """
        key = blake2b(token.encode(), digest_size=16).digest()
        if self._good.get(key, 0.0) > self._monotonic():
            return
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.create_task(self._ask(key, token, timeout), name="verify token")
            self._asking[key] = asking
            asking.add_done_callback(lambda task: self._asked(key, task))
        # Who goes away must not take the answer from the others.
        await asyncio.shield(asking)

    async def _ask(self, key: bytes, token: str, timeout: float) -> None:
        try:
            await self._upstream.unary(
                self._method,
                self._request,
                timeout=timeout,
                reads=True,
                metadata=self._access.metadata(token),
            )
        except QuorateError as error:
            if error.code in self._refused:
                self._good.pop(key, None)
                raise
        self._good[key] = self._monotonic() + FRESH
        self._good.move_to_end(key)
        while len(self._good) > MOST:
            self._good.popitem(last=False)

    def _asked(self, key: bytes, task: asyncio.Task[None]) -> None:
        del self._asking[key]
        if not task.cancelled():
            # Everybody who waited may be gone.
            task.exception()


def known_callers(upstream: Upstream, access: Access) -> Verified:
    """Tokens that the cluster knows, whatever they may do there."""
    request = scheduler_pb2.GetClusterRequest()
    return Verified(upstream, access, PROBE, request, frozenset((C.UNAUTHENTICATED,)))


def readers_of_services(upstream: Upstream, access: Access) -> Verified:
    """Tokens whose owners may list services."""
    request = service_pb2.ListServicesRequest(page_size=1)
    refused = frozenset((C.UNAUTHENTICATED, C.PERMISSION_DENIED))
    return Verified(upstream, access, _LIST_SERVICES, request, refused)
