"""What authentication asks of a scheduler beside its guard.

The guard (`quorate.security.guard`) lets a call in by its role. Whoever answers it, the leader,
then checks what the request names against what the caller is bound to: `request_check`. A standby
does not read requests; it passes on whom it let in, `passed_on`, and the leader believes it when
the connection shows a scheduler's certificate.

Whoever is refused is in the process's log, at most so many lines a second, and never in etcd: a
stranger could fill it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from google.protobuf.descriptor import MethodDescriptor

from quorate.runtime.errors import QuorateError
from quorate.runtime.timing.token_bucket import TokenBucket
from quorate.security.identity import current_caller, encode
from quorate.security.metadata import PASSED_ON
from quorate.security.permissions import check_request, path_of, rule_of
from scheduler.api.servicer import Servicer

log = structlog.get_logger(__name__)

# Lines a second about refused requests.
_LOGGED: Final = 10.0
_lines: Final = TokenBucket(_LOGGED, _LOGGED, time.monotonic())

Check = Callable[[Servicer, Any], None]


def request_check(method: MethodDescriptor) -> Check:
    """A check `(servicer, request)` of one method, to be made right before the servicer is asked.

    It raises PERMISSION_DENIED, and does nothing where authentication is off.
    """
    rule = rule_of(method)
    path = path_of(method)

    def check(servicer: Servicer, request: Any) -> None:
        caller = current_caller()
        if caller is None or rule is None:
            # Without a rule nobody was let in.
            return
        try:
            check_request(rule, caller, request, servicer.queue_of_task if rule.task else _none)
        except QuorateError as error:
            if not _lines.take(time.monotonic()):
                log.warning("auth_refused", method=path, reason=error.reason, caller=str(caller))
            raise

    return check


def passed_on() -> tuple[tuple[str, str], ...]:
    """The metadata that says to another scheduler who calls."""
    caller = current_caller()
    return () if caller is None else ((PASSED_ON, encode(caller)),)


def _none(task: str) -> None:
    raise AssertionError(task)
