"""What authentication asks of a scheduler beside its guard.

The guard (`quorate.security.guard`) lets a call in by its role. Whoever answers it, the leader,
then checks what the request names against what the caller is bound to: `request_check`. A standby
does not read requests; it passes on whom it let in, `passed_on`, and the leader believes it when
the connection shows a scheduler's certificate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import MethodDescriptor

from quorate.security.identity import current_caller, encode
from quorate.security.metadata import PASSED_ON
from quorate.security.permissions import check_request, rule_of

Check = Callable[[Any, Any], None]


def request_check(method: MethodDescriptor) -> Check:
    """A check `(servicer, request)` of one method, to be made right before the servicer is asked.

    It raises PERMISSION_DENIED, and does nothing where authentication is off. The servicer of a
    method that names a task has `queue_of_task`.
    """
    rule = rule_of(method)

    def check(servicer: Any, request: Any) -> None:
        caller = current_caller()
        if caller is None or rule is None:
            # Without a rule nobody was let in.
            return
        check_request(rule, caller, request, servicer.queue_of_task if rule.task else _none)

    return check


def passed_on() -> tuple[tuple[str, str], ...]:
    """The metadata that tells another scheduler who calls."""
    caller = current_caller()
    return () if caller is None else ((PASSED_ON, encode(caller)),)


def _none(task: str) -> None:
    raise AssertionError(task)
