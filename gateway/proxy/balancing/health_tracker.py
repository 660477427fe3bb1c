"""What active checks of an outside instance say. Pure: results in, a verdict and a pause out.

    passing --`unhealthy_after` failures in a row--> failing
       ^                                               |
       +---------`healthy_after` passes in a row-------+

Replicas on nodes are checked by their agents, whose word comes with the view; nobody but the
gateways looks after processes outside. Such a one begins as passing: it has registered itself as
healthy, and a gateway that has just started must not refuse what others serve.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from google.protobuf.duration_pb2 import Duration

from gateway.proxy.balancing.balance import Random
from quorate.v1 import service_pb2 as pb

# Pauses are longer or shorter by up to this share, so that gateways and instances do not get in
# step.
_JITTER: Final = 0.1
_PATH: Final = re.compile(r"/[!-~]{0,1023}")


@dataclass(frozen=True, slots=True)
class CheckTerms:
    """The numbers of a `quorate.v1.HealthCheck`, defaults filled in; seconds and counts.

    Attributes:
        path: what to GET; empty for a TCP connect.
        grpc: the service that grpc.health.v1 is asked about instead ("" for the whole server); None
            when it is not.
    """

    path: str = ""
    grpc: str | None = None
    interval: float = 1.0
    timeout: float = 1.0
    healthy_after: int = 1
    unhealthy_after: int = 3


def terms_of(spec: pb.ServiceSpec) -> CheckTerms | None:
    """What a service asks for; None when nothing."""
    check = spec.health
    if not spec.HasField("health"):
        return None
    if check.http_path and not _PATH.fullmatch(check.http_path):
        # The scheduler refuses such a one; sent as it is, it could be more than one request.
        return None
    return CheckTerms(
        path=check.http_path,
        grpc=check.grpc_service if check.WhichOneof("kind") == "grpc_service" else None,
        interval=_seconds(check.interval, 3_600.0) if check.HasField("interval") else 1.0,
        timeout=_seconds(check.timeout, 60.0) if check.HasField("timeout") else 1.0,
        healthy_after=_count(check.healthy_after, 1),
        unhealthy_after=_count(check.unhealthy_after, 3),
    )


def _seconds(value: Duration, most: float) -> float:
    return max(0.1, min(most, value.seconds + value.nanos / 1e9))


def _count(value: int, default: int) -> int:
    return min(value, 10) if value > 0 else default


class HealthTracker:
    """The record of one instance. Instants are monotonic seconds.

    Args:
        now: when it came into the view; its first check is within one interval.
    """

    __slots__ = ("_row", "checking", "due", "passing", "terms")

    def __init__(self, terms: CheckTerms, now: float, random: Random) -> None:
        self.terms = terms
        self.passing = True
        self.checking = False
        """A check is under way."""
        self.due = now + terms.interval * random()
        """When the next check is to begin."""
        # Results in a row that contradict the verdict.
        self._row = 0

    def retarget(self, terms: CheckTerms, now: float, random: Random) -> None:
        """The service asks for another check: the verdict stands until that contradicts it."""
        if terms != self.terms:
            self.terms = terms
            self.due = now + terms.interval * random()
            self._row = 0

    def on_checked(self, passed: bool, now: float, random: Random) -> bool:
        """Take the result of one check; whether the verdict changed."""
        self.due = now + self.terms.interval * (1 + _JITTER * (2 * random() - 1))
        if passed == self.passing:
            self._row = 0
            return False
        self._row += 1
        if self._row < (self.terms.healthy_after if passed else self.terms.unhealthy_after):
            return False
        self.passing = passed
        self._row = 0
        return True
