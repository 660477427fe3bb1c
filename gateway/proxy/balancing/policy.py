"""A service's proxy policy with its defaults filled in. Pure.

The bounds are those of the contract; the scheduler refuses what is outside them, and here they are
applied once more, since a view may come from a newer scheduler than this gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from quorate.v1 import service_pb2 as pb

_DEFAULT_TIMEOUT: Final = 30.0
_DEFAULT_RETRIES: Final = 2
_DEFAULT_BUDGET: Final = 0.2
_DEFAULT_CONCURRENCY: Final = 1_024
_DEFAULT_EJECT_AFTER: Final = 5
_DEFAULT_EJECT_FOR: Final = 1.0
_DEFAULT_BREAKER: Final = 512


@dataclass(frozen=True, slots=True)
class Policy:
    """How a service's requests are treated; see `ProxyPolicy` in the contract.

    `timeout` and `eject_for` are seconds; `rate_limit` 0 means none; `hash_header`, `hash_cookie`
    and `hash_path` say what the consistent hash is of, the first one that is set.
    """

    balancing: int = pb.BALANCING_LEAST_REQUEST
    hash_header: bytes = b""
    hash_cookie: bytes = b""
    hash_path: bool = False
    timeout: float = _DEFAULT_TIMEOUT
    retries: int = _DEFAULT_RETRIES
    retry_budget: float = _DEFAULT_BUDGET
    rate_limit: float = 0.0
    concurrency_limit: int = _DEFAULT_CONCURRENCY
    prefer_label: str = ""
    eject_after: int = _DEFAULT_EJECT_AFTER
    eject_for: float = _DEFAULT_EJECT_FOR
    circuit_breaker: int = _DEFAULT_BREAKER


def policy_of(message: pb.ProxyPolicy) -> Policy:
    """The policy that a message asks for."""
    hash_on = message.hash_on
    return Policy(
        balancing=message.balancing or pb.BALANCING_LEAST_REQUEST,
        hash_header=hash_on.header.lower().encode(),
        hash_cookie=hash_on.cookie.encode(),
        hash_path=hash_on.path,
        timeout=_seconds(message.timeout.seconds, message.timeout.nanos, _DEFAULT_TIMEOUT, 3_600),
        retries=_DEFAULT_RETRIES if message.retries == 0 else max(0, min(5, message.retries)),
        retry_budget=max(0.0, min(1.0, message.retry_budget))
        if message.HasField("retry_budget")
        else _DEFAULT_BUDGET,
        rate_limit=max(0.0, min(1_000_000.0, message.rate_limit)),
        concurrency_limit=_bounded(message.concurrency_limit, _DEFAULT_CONCURRENCY, 65_536),
        prefer_label=message.prefer_label,
        eject_after=_bounded(message.eject_after, _DEFAULT_EJECT_AFTER, 100),
        eject_for=_seconds(
            message.eject_for.seconds, message.eject_for.nanos, _DEFAULT_EJECT_FOR, 300
        ),
        circuit_breaker=_bounded(message.circuit_breaker, _DEFAULT_BREAKER, 65_536),
    )


def _bounded(value: int, default: int, most: int) -> int:
    return min(value, most) if value > 0 else default


def _seconds(seconds: int, nanos: int, default: float, most: float) -> float:
    value = seconds + nanos / 1e9
    return min(value, most) if value > 0 else default
