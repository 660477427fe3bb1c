"""Failures of calls to the cluster, typed, with the cluster's own reason and violations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
from google.rpc import error_details_pb2

from quorate.client.transport.policy import is_shed
from quorate.runtime.errors import DOMAIN, QuorateError, from_rpc_error, status_of, unavailable


class UpstreamError(QuorateError):
    """The cluster's answer of failure. `violations` are (field, description) pairs."""

    def __init__(
        self,
        error: QuorateError,
        *,
        domain: str = DOMAIN,
        violations: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(
            error.code, error.reason, error.message, field=error.field, metadata=error.metadata
        )
        self.retry_delay = error.retry_delay
        self.domain = domain
        self.violations = tuple(violations)


def typed(
    error: grpc.aio.AioRpcError, timeout: float | None, addresses: Sequence[str]
) -> UpstreamError:
    """What a scheduler answered, or what gRPC itself found, as an error of the cluster.

    `timeout`: of the call, seconds; `addresses`: all that were tried.
    """
    if (answer := _answered(error)) is not None:
        return answer
    code = error.code()
    if is_shed(error):
        message = "the scheduler has more calls waiting than it takes in"
        return UpstreamError(unavailable("TOO_MANY_CALLS", message))
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and timeout is not None:
        found = QuorateError(
            code,
            "DEADLINE_EXCEEDED",
            f"the deadline of {timeout:g} s passed; the outcome is unknown",
            metadata={"limit": f"{timeout:g}"},
        )
    elif code is grpc.StatusCode.UNAVAILABLE:
        found = unavailable(
            "NO_SCHEDULER",
            f"no scheduler at {', '.join(addresses)} answers; repeat the request with the same "
            f"request_id (last: {error.details()})",
        )
    else:
        found = from_rpc_error(error)
    return UpstreamError(found)


def raise_unless_ours() -> None:
    """Called for a CancelledError: passes a caller's on, makes UNAVAILABLE of a closed channel's.

    Raises CancelledError or UpstreamError.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    raise UpstreamError(
        QuorateError(
            grpc.StatusCode.UNAVAILABLE, "GATEWAY_SHUTTING_DOWN", "this gateway is shutting down"
        )
    ) from None


def _answered(error: grpc.aio.AioRpcError) -> UpstreamError | None:
    """The error with the details that a Quorate service gives; None when gRPC made it."""
    status = status_of(error)
    if status is None:
        return None
    domain, violations = "", []
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            domain = info.domain
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            violations += [(one.field, one.description) for one in bad.field_violations]
    if not domain:
        return None
    return UpstreamError(from_rpc_error(error), domain=domain, violations=violations)
