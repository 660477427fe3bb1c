"""What a failed RPC to etcd means to the caller.

etcd distinguishes its errors by the text of the gRPC status (etcd's `rpctypes/error.go`); the code
alone is not enough: RESOURCE_EXHAUSTED is both a full database and a request that is too large.
What is not known here for a definite refusal becomes EtcdUnavailable, whose meaning, "the outcome
is unknown", is always safe.
"""

from __future__ import annotations

import grpc
import grpc.aio

from quorate.etcd.api import (
    Compacted,
    EtcdAnswerTooLarge,
    EtcdError,
    EtcdNoSpace,
    EtcdRefused,
    EtcdUnauthenticated,
    EtcdUnavailable,
    LeaseNotFound,
)

_Code = grpc.StatusCode

COMPACTED_TEXT = "required revision has been compacted"
FUTURE_TEXT = "required revision is a future revision"
AUTH_OFF_TEXT = "authentication is not enabled"

# Each is said before anything was proposed: after a fresh token the same call may be made again.
# "user name is empty" is what a call without a token gets once authentication was switched on.
_STALE_TOKEN = ("invalid auth token", "user name is empty", "revision of auth store is old")

_BY_TEXT: tuple[tuple[str, type[EtcdError]], ...] = (
    ("database space exceeded", EtcdNoSpace),
    ("requested lease not found", LeaseNotFound),
    ("authentication failed", EtcdUnauthenticated),
    ("permission denied", EtcdUnauthenticated),
    *((text, EtcdUnauthenticated) for text in _STALE_TOKEN),
    # By etcd's own gRPC server, before the request was decoded.
    ("grpc: received message larger than max", EtcdRefused),
    # By the server that sends it; by gRPC on our side, where it begins with a capital.
    ("trying to send message larger than max", EtcdAnswerTooLarge),
    ("eceived message larger than max", EtcdAnswerTooLarge),
    (FUTURE_TEXT, EtcdRefused),
)

_BY_CODE: dict[grpc.StatusCode, type[EtcdError]] = {
    _Code.INVALID_ARGUMENT: EtcdRefused,
    _Code.FAILED_PRECONDITION: EtcdRefused,
    _Code.UNIMPLEMENTED: EtcdRefused,
    _Code.UNAUTHENTICATED: EtcdUnauthenticated,
    _Code.PERMISSION_DENIED: EtcdUnauthenticated,
}


def stale_token(error: grpc.aio.AioRpcError) -> bool:
    """Whether the call was turned away for its token alone, before it did anything."""
    details = error.details() or ""
    return any(text in details for text in _STALE_TOKEN)


def is_denial(reason: str) -> bool:
    """Whether a watch was cancelled for want of a permission or of a valid token."""
    return any(kind is EtcdUnauthenticated and text in reason for text, kind in _BY_TEXT)


def from_rpc(error: grpc.aio.AioRpcError, endpoint: str) -> EtcdError:
    """The typed error of a failed RPC. `Compacted.revision` is 0: etcd does not say it here."""
    details = error.details() or ""
    if COMPACTED_TEXT in details:
        return Compacted(0)
    kind = next((kind for text, kind in _BY_TEXT if text in details), None)
    if kind is None:
        kind = _BY_CODE.get(error.code(), EtcdUnavailable)
    return kind(f"etcd {endpoint}: {details or error.code().name}")
