"""Who a client is: judged by the cluster, as at the gateway's other doors.

| mechanism | credentials |
|---|---|
| PLAIN | the password is a token, the user the name of its owner; without authentication: any |
| EXTERNAL | the client has shown a certificate of the CA, whose subject is `<role>:<name>` |

Schedulers believe the gateway whose certificate it was with `--auth-trust-gateways`.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import grpc

from gateway.amqp.cluster.calls import Calls
from gateway.amqp.protocol.events import Login
from gateway.amqp.protocol.handshake import EXTERNAL
from gateway.auth.credentials import MOST_TOKEN, Access
from gateway.cluster.calls import Upstream
from quorate.runtime.errors import QuorateError
from quorate.security.identity import encode, from_common_name

_token = re.compile(rf"[A-Za-z0-9._~+/-]{{1,{MOST_TOKEN}}}=*")
# The product of clients that mean one limit for the channel with basic.qos, whatever `global` says
# (rabbitmq-server #11948).
SHARED_PREFETCH: Final = "py-amqp"
_ANONYMOUS: Final = "anonymous"
_REFUSED: Final = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class Refused(Exception):
    """The client may not come in; a sentence for it."""


class Credentials(NamedTuple):
    """What goes with the calls of a connection. `shown`: whose certificate the client has shown, as
    metadata; the token is empty then."""

    token: str = ""
    shown: str = ""


def credentials_of(login: Login, access: Access, certificate: Any) -> Credentials:
    """The credentials of a login.

    Args:
        certificate: that the client has shown, as `SSLSocket.getpeercert` says it.

    Raises Refused.
    """
    if login.mechanism == EXTERNAL and not certificate:
        raise _refused(EXTERNAL)
    if token := login.password if _token.fullmatch(login.password) else "":
        return Credentials(token)
    shown = _subject(certificate) if login.mechanism == EXTERNAL else ""
    if access.required and not shown:
        raise _refused(login.mechanism)
    return Credentials(shown=shown)


def _subject(certificate: Any) -> str:
    """The caller that a verified certificate names, encoded; empty: it names none."""
    names = [
        value
        for part in certificate.get("subject", ())
        for key, value in part
        if key == "commonName"
    ]
    caller = from_common_name(names[0]) if len(names) == 1 else None
    return "" if caller is None else encode(caller)


async def check(login: Login, calls: Calls) -> tuple[Login, int]:
    """A login without its password and with its user and caller, when the cluster knows it by the
    name that it gave (and as the caller that it was before); and bytes of the largest body that
    the cluster takes. Raises Refused, or QuorateError when the cluster does not answer."""
    try:
        caller, most_body = await calls.caller()
    except QuorateError as error:
        if error.code in _REFUSED:
            raise _refused(login.mechanism) from None
        raise
    name = caller.partition(":")[2] or caller
    if name == _ANONYMOUS:
        return login._replace(password=""), most_body
    if login.user and login.user not in (name, caller):
        raise _refused(login.mechanism)
    if login.caller and login.caller != caller:
        # Of another role: what the connection has is not that caller's.
        raise _refused(login.mechanism)
    return login._replace(password="", user=login.user or name, caller=caller), most_body


async def renew(
    login: Login, upstream: Upstream, access: Access, certificate: Any
) -> Credentials | None:
    """The credentials of connection.update-secret, when the cluster knows their owner, who is the
    one of the login; None: they are refused, or the cluster does not answer.

    Args:
        login: with the new token as its password.
        certificate: that the client has shown.
    """
    try:
        found = credentials_of(login, access, certificate)
        # The calls of the connection go on with its old token.
        await check(login, Calls(upstream, lambda: access.metadata(*found)))
    except (Refused, QuorateError):
        return None
    return found


def _refused(mechanism: str) -> Refused:
    return Refused(f"Login was refused using authentication mechanism {mechanism}.")
