"""The answers to requests that no instance answers. Pure.

`service` and `instance` are names, for the problem's metadata.
"""

from __future__ import annotations

from gateway.proxy.http1.problems import Rejection


def instances_busy(service: str) -> Rejection:
    """503: there are instances, and each has as many requests as it may."""
    return _none(
        service,
        "INSTANCES_BUSY",
        "every instance has as many requests as its circuit breaker allows",
    )


def no_instance(service: str) -> Rejection:
    """503: there is none that could be asked."""
    return _none(service, "NO_INSTANCE", "the service has no healthy instance")


def unreachable(service: str, instance: str, reason: str) -> Rejection:
    """502: no connection came about, so nothing was sent."""
    return _upstream(
        502,
        "UPSTREAM_UNREACHABLE",
        f"the instance could not be reached: {reason}",
        service,
        instance,
    )


def reset(service: str, instance: str) -> Rejection:
    """502: the connection was lost before a byte of the answer."""
    return _upstream(
        502,
        "UPSTREAM_RESET",
        "the instance closed the connection without an answer",
        service,
        instance,
    )


def garbage(service: str, instance: str, detail: str) -> Rejection:
    """502: what came is no answer."""
    return _upstream(
        502,
        "UPSTREAM_GARBAGE",
        f"the instance's answer is not well-formed HTTP: {detail}",
        service,
        instance,
    )


def too_slow(service: str, instance: str, seconds: float) -> Rejection:
    """504: no answer began within the policy's `timeout`."""
    return _upstream(
        504,
        "UPSTREAM_TIMEOUT",
        f"the instance did not begin to answer within {seconds:g} s",
        service,
        instance,
    )


def request_too_slow() -> Rejection:
    """408: the request has begun, and does not end."""
    return Rejection(408, "REQUEST_TIMEOUT", "the rest of the request arrived too slowly")


def half_closed(seconds: float) -> Rejection:
    """504: the client may be gone, so that no more time was given to the instance."""
    return Rejection(
        504,
        "HALF_CLOSED",
        f"no answer began within {seconds:g} s after the client closed its side of the connection",
    )


def _none(service: str, reason: str, detail: str) -> Rejection:
    return Rejection(
        503, reason, detail, metadata={"service": service}, headers={"retry-after": "1"}
    )


def _upstream(status: int, reason: str, detail: str, service: str, instance: str) -> Rejection:
    return Rejection(status, reason, detail, metadata={"service": service, "instance": instance})
