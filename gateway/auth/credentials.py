"""The credential of a request to the gateway, and calls to the cluster made with it.

The gateway has no policy of its own. A bearer token (an API token or a JWT) goes on to the
scheduler with the call; what the scheduler answers, 401 or 403, is the answer. A request without a
token is marked as somebody else's where the gateway itself has a certificate, so that nobody acts
as the gateway. With `--auth bearer` such a request is refused at the door.

Programs send `Authorization: Bearer <token>`. Pages cannot set headers of a WebSocket: they offer
the subprotocols `quorate.v1` and `quorate.bearer.<token>`, of which the gateway takes the first.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from gateway.cluster.calls import Metadata, Upstream
from gateway.cluster.methods import Method
from gateway.config import GatewaySettings
from gateway.http.problems import HttpError
from quorate.security.metadata import AUTHORIZATION, ON_BEHALF, PASSED_ON

SUBPROTOCOL: Final = "quorate.v1"
BEARER_SUBPROTOCOL: Final = "quorate.bearer."
MOST_TOKEN: Final = 8192
# RFC 6750 section 2.1.
_token = re.compile(rf"[A-Za-z0-9._~+/-]{{1,{MOST_TOKEN}}}=*")


@dataclass(frozen=True, slots=True)
class Access:
    """How the gateway treats credentials.

    * `required`: a request without a token is refused.
    * `certified`: the gateway shows schedulers a certificate of its own.
    """

    required: bool = False
    certified: bool = False

    @classmethod
    def of(cls, settings: GatewaySettings) -> Access:
        """As the settings have it."""
        return cls(settings.auth == "bearer", bool(settings.scheduler_tls_cert_file))

    def check(self, token: str) -> None:
        """Raises HttpFault 401 when there must be a token and is none."""
        if self.required and not token:
            raise unauthorized("CREDENTIALS_MISSING", "show a token: Authorization: Bearer <token>")

    def metadata(self, token: str, shown: str = "") -> Metadata:
        """What goes with the calls of a request.

        Args:
            shown: whose certificate the client has shown, encoded. It counts at schedulers that
                trust gateways, with the gateway's own certificate.
        """
        if token:
            return ((AUTHORIZATION, f"Bearer {token}"),)
        if not self.certified:
            return ()
        return ((ON_BEHALF, "1"), (PASSED_ON, shown)) if shown else ((ON_BEHALF, "1"),)


def token_of(authorizations: Sequence[str]) -> str:
    """The token of a request's Authorization headers; empty without. Raises HttpFault 401."""
    if not authorizations:
        return ""
    scheme, _, token = authorizations[0].strip().partition(" ")
    token = token.strip()
    if len(authorizations) > 1 or scheme.lower() != "bearer" or not _token.fullmatch(token):
        raise unauthorized("TOKEN_INVALID", "Authorization: must be `Bearer <token>`, once")
    return token


def token_of_socket(authorizations: Sequence[str], protocols: Sequence[str]) -> str:
    """The token of a WebSocket handshake: by header, or among the subprotocols it offers."""
    offered = [one.strip() for text in protocols for one in text.split(",")]
    tokens = [
        one.removeprefix(BEARER_SUBPROTOCOL)
        for one in offered
        if one.startswith(BEARER_SUBPROTOCOL)
    ]
    return token_of([*authorizations, *(f"Bearer {token}" for token in tokens)])


def unauthorized(reason: str, message: str) -> HttpError:
    """401."""
    return HttpError(401, grpc.StatusCode.UNAUTHENTICATED, reason, message)


class CallerCluster:
    """The cluster as one caller sees it: every call carries that caller's credential."""

    def __init__(self, upstream: Upstream, metadata: Metadata) -> None:
        self._upstream = upstream
        self._metadata = metadata

    async def unary(
        self, method: Method, request: Message, *, timeout: float, reads: bool = False
    ) -> Message:
        """See Upstream."""
        return await self._upstream.unary(
            method, request, timeout=timeout, reads=reads, metadata=self._metadata
        )

    def stream(
        self, method: Method, request: Message, *, timeout: float | None = None
    ) -> AsyncIterator[Any]:
        """See Upstream."""
        return self._upstream.stream(method, request, timeout=timeout, metadata=self._metadata)
