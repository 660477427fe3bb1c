"""Who asks: `Authorization: Basic`, where the password is a token as in PLAIN of AMQP, or `Bearer`.

The name has to be that of the token's owner. The cluster is asked at each request, in the caller's
name, so a token that was revoked opens nothing.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, Final

import grpc

from gateway.amqp import login
from gateway.amqp.management.failures import not_authorized, of_cluster
from gateway.amqp.protocol.events import Login
from gateway.auth.credentials import Access, CallerCluster, token_of
from gateway.auth.verified import PROBE
from gateway.cluster.calls import Upstream
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2

# Seconds that a call to the cluster may take.
CALL: Final = 10.0
_PLAIN: Final = "PLAIN"
_ANONYMOUS: Final = "anonymous"


async def enter(
    authorizations: Sequence[str], upstream: Upstream, access: Access
) -> tuple[CallerCluster, Any]:
    """The cluster as the caller sees it, and its answer to GetCluster.

    Raises Failure: 401, or what the cluster answered.
    """
    user, token = _shown(authorizations)
    try:
        metadata = access.metadata(
            *login.credentials_of(Login(_PLAIN, user, token, ""), access, None)
        )
        cluster = CallerCluster(upstream, metadata)
        found: Any = await cluster.unary(
            PROBE, scheduler_pb2.GetClusterRequest(), timeout=CALL, reads=True
        )
    except login.Refused:
        raise not_authorized("Login failed") from None
    except QuorateError as error:
        if error.code is grpc.StatusCode.PERMISSION_DENIED:
            raise not_authorized("Login failed") from None
        raise of_cluster(error) from error
    caller = found.caller.name
    if user and caller != _ANONYMOUS and user not in (caller, caller.partition(":")[2]):
        raise not_authorized("Login failed")
    return cluster, found


def _shown(authorizations: Sequence[str]) -> tuple[str, str]:
    """User and token. Both are empty where nothing is shown."""
    if not authorizations:
        return "", ""
    scheme, _, text = authorizations[0].strip().partition(" ")
    if len(authorizations) == 1 and scheme.lower() == "basic":
        try:
            # A name may have a colon (`submitter:ci`), and no token has one.
            user, colon, token = b64decode(text.strip(), validate=True).decode().rpartition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if not colon:
            raise not_authorized("Authorization: must be `Basic` with user:token in base64")
        return user, token
    try:
        return "", token_of(authorizations)
    except QuorateError as error:
        raise not_authorized("Authorization: must be `Basic` or `Bearer`, once") from error
