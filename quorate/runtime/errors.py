"""Errors that a caller gets, and how they travel.

A `QuorateError` has a canonical gRPC code, an UPPER_SNAKE reason, a sentence, and metadata naming
the field, id or limit. On the wire it is a `google.rpc.Status` with one `ErrorInfo` (domain
`quorate`) and, for bad arguments, `BadRequest` field violations (google.aip.dev/193). Anything
else that escapes a handler is our bug and becomes INTERNAL without a traceback.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import NoReturn

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc import code_pb2, error_details_pb2, status_pb2

DOMAIN = "quorate"
# The reason of calls that are refused, or wait, because etcd takes no put.
ETCD_SPACE_LOW = "ETCD_SPACE_LOW"
_DETAILS_KEY = "grpc-status-details-bin"


class QuorateError(Exception):
    """A typed answer of failure."""

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        field: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.field = field
        self.metadata = dict(metadata or {})
        # Seconds after which repeating the call may help; None: nobody knows.
        self.retry_delay: float | None = None
        if field:
            self.metadata.setdefault("field", field)

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"QuorateError({self.code.name}, {self.reason}, {self.message!r})"

    def __reduce__(self) -> tuple[typing.Any, ...]:
        # Not by calling the class again: each subclass has arguments of its own. Without this, one
        # raised in a process pool could not be unpickled, which breaks the pool.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(
    kind: type[QuorateError], args: tuple[object, ...], values: Mapping[str, object]
) -> QuorateError:
    """A pickled error; see `QuorateError.__reduce__`."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(values)
    return error


def invalid(
    field: str, message: str, *, reason: str = "INVALID_FIELD", **metadata: object
) -> QuorateError:
    """INVALID_ARGUMENT that names the field; `metadata` names the limit (`limit=`, `value=`)."""
    return QuorateError(
        grpc.StatusCode.INVALID_ARGUMENT,
        reason,
        f"{field}: {message}",
        field=field,
        metadata={k: str(v) for k, v in metadata.items()},
    )


def not_found(kind: str, name: str) -> QuorateError:
    """NOT_FOUND with reason e.g. TASK_NOT_FOUND."""
    return QuorateError(
        grpc.StatusCode.NOT_FOUND,
        f"{kind.upper()}_NOT_FOUND",
        f"{kind} {name!r} does not exist",
        metadata={kind: name},
    )


def already_exists(kind: str, name: str) -> QuorateError:
    """ALREADY_EXISTS with reason e.g. QUEUE_ALREADY_EXISTS."""
    return QuorateError(
        grpc.StatusCode.ALREADY_EXISTS,
        f"{kind.upper()}_ALREADY_EXISTS",
        f"{kind} {name!r} already exists",
        metadata={kind: name},
    )


def precondition(reason: str, message: str, **metadata: object) -> QuorateError:
    """FAILED_PRECONDITION: the state does not allow it; repeating changes nothing."""
    return QuorateError(
        grpc.StatusCode.FAILED_PRECONDITION,
        reason,
        message,
        metadata={k: str(v) for k, v in metadata.items()},
    )


def exhausted(reason: str, message: str, **metadata: object) -> QuorateError:
    """RESOURCE_EXHAUSTED: a bound is reached; nothing was done."""
    return QuorateError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        reason,
        message,
        metadata={k: str(v) for k, v in metadata.items()},
    )


def unavailable(reason: str, message: str, **metadata: object) -> QuorateError:
    """UNAVAILABLE: the outcome is unknown; repeat with the same request id."""
    return QuorateError(
        grpc.StatusCode.UNAVAILABLE,
        reason,
        message,
        metadata={k: str(v) for k, v in metadata.items()},
    )


def of_code(number: int, reason: str, message: str, **metadata: object) -> QuorateError:
    """An error whose gRPC code was stored as a number; UNKNOWN for a number that is none."""
    codes = {code.value[0]: code for code in grpc.StatusCode}
    return QuorateError(
        codes.get(number, grpc.StatusCode.UNKNOWN),
        reason,
        message,
        metadata={k: str(v) for k, v in metadata.items()},
    )


def leader_lost() -> QuorateError:
    """UNAVAILABLE `LEADER_LOST`: the leader's term ended under the call."""
    return unavailable(
        "LEADER_LOST",
        "the leader was lost during the call; repeat the call with the same request_id",
    )


def to_status(error: QuorateError) -> status_pb2.Status:
    """The `google.rpc.Status` of an error."""
    details = []
    info = Any()
    info.Pack(
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    )
    details.append(info)
    if error.field:
        bad = Any()
        bad.Pack(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=error.field, description=error.message
                    )
                ]
            )
        )
        details.append(bad)
    if error.retry_delay is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_delay * 1e9))
        again = Any()
        again.Pack(retry)
        details.append(again)
    number = int(error.code.value[0])
    return status_pb2.Status(code=number, message=error.message, details=details)


async def abort(context: grpc.aio.ServicerContext, error: QuorateError) -> NoReturn:  # type: ignore[type-arg]
    """End an RPC with an error."""
    context.set_trailing_metadata(((_DETAILS_KEY, to_status(error).SerializeToString()),))
    await context.abort(error.code, error.message)
    raise AssertionError("abort returned")


def has_status(error: grpc.RpcError) -> bool:
    """Whether a service of this product answered; otherwise gRPC itself made the error."""
    trailing: typing.Any = error.trailing_metadata()
    return any(key == _DETAILS_KEY for key, _ in trailing or ())


def status_of(error: grpc.RpcError) -> status_pb2.Status | None:
    """The status, with its details, that a service answered; None when gRPC made the error."""
    # The stubs of grpc do not know that metadata is a sequence of pairs.
    trailing: typing.Any = error.trailing_metadata()
    for key, value in trailing or ():
        if key == _DETAILS_KEY:
            return status_pb2.Status.FromString(value)
    return None


def from_rpc_error(error: grpc.RpcError) -> QuorateError:
    """The typed error behind an RpcError of either the sync or the aio API."""
    code = error.code()
    message = error.details() or code.name
    if (status := status_of(error)) is not None:
        return _from_status(code, status)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        message = f"the cluster does not have this call: it is of an earlier version ({message})"
    return QuorateError(code, code.name, message)


def _from_status(code: grpc.StatusCode, status: status_pb2.Status) -> QuorateError:
    reason, metadata = code_pb2.Code.Name(status.code), {}
    delay = None
    for detail in status.details:
        if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            delay = retry.retry_delay.ToNanoseconds() / 1e9
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            reason, metadata = info.reason, dict(info.metadata)
    error = QuorateError(
        code, reason, status.message, field=metadata.get("field", ""), metadata=metadata
    )
    error.retry_delay = delay
    return error
