"""Who a client is: judged by the cluster, as at the gateway's other doors.

| mechanism | credentials |
|---|---|
| PLAIN | the password is a token, the user the name of its owner; without authentication: any |
| EXTERNAL | the client has shown a certificate of the CA; its calls have no name |
"""

from __future__ import annotations

import re
from typing import Any, Final

import grpc

from gateway.amqp.cluster.calls import Calls
from gateway.amqp.protocol.events import Login
from gateway.amqp.protocol.handshake import EXTERNAL
from gateway.auth.credentials import MOST_TOKEN, Access
from gateway.cluster.calls import Upstream
from quorate.runtime.errors import QuorateError

_token = re.compile(rf"[A-Za-z0-9._~+/-]{{1,{MOST_TOKEN}}}=*")
_ANONYMOUS: Final = "anonymous"
_REFUSED: Final = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class Refused(Exception):
    """The client may not come in; a sentence for it."""


def token_of(login: Login, access: Access, certificate: Any) -> str:
    """The token of a login; empty for none.

    Args:
        certificate: that the client has shown.

    Raises Refused.
    """
    if login.mechanism == EXTERNAL and not certificate:
        raise _refused(EXTERNAL)
    token = login.password if _token.fullmatch(login.password) else ""
    if access.required and not token:
        raise _refused(login.mechanism)
    return token


async def check(login: Login, calls: Calls) -> None:
    """Return when the cluster knows the caller, by the name that it gave. Raises Refused, or
    QuorateError when the cluster does not answer."""
    try:
        caller = await calls.caller()
    except QuorateError as error:
        if error.code in _REFUSED:
            raise _refused(login.mechanism) from None
        raise
    name = caller.partition(":")[2] or caller
    if login.user and name != _ANONYMOUS and login.user not in (name, caller):
        raise _refused(login.mechanism)


async def renew(login: Login, upstream: Upstream, access: Access, certificate: Any) -> str | None:
    """The token of connection.update-secret, when the cluster knows its owner, who is the one of
    the login; None: it is refused, or the cluster does not answer.

    Args:
        login: with the new token as its password.
        certificate: that the client has shown.
    """
    try:
        token = token_of(login, access, certificate)
        # The calls of the connection go on with its old token.
        await check(login, Calls(upstream, lambda: access.metadata(token)))
    except (Refused, QuorateError):
        return None
    return token


def _refused(mechanism: str) -> Refused:
    return Refused(f"Login was refused using authentication mechanism {mechanism}.")
