"""How large a request may be, by RPC: looked at before it is parsed.

gRPC itself takes 20 MiB, which only batches of tasks and large messages have a use for. Everything
else would hold the leader's loop for as long as it takes to parse, and to check what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

from quorate.runtime.errors import invalid

MAX_BATCH_BYTES: Final = 16 << 20
# Of the spec of a schedule, which is written again with each of its runs.
MAX_SCHEDULE_BYTES: Final = 64 << 10
# Names, a page token, a mask, labels: no such request is near it.
DEFAULT: Final = 64 << 10
# Of several messages: what a gRPC client takes by default, too.
MAX_MESSAGES_BYTES: Final = 4 << 20
# Of the body of one message, at most: `--max-message-kib`. With it the request is within gRPC's.
MOST_BODY: Final = 16 << 20
# Beside what is bounded by itself: a queue's name, a request id, framing. Of a message: its
# properties, too.
_BESIDE: Final = 64 << 10
BESIDE: Final = 192 << 10
# By RPC: bytes, and the field that takes them. 10,000 ids of the longest allowed are 2.6 MB.
_LARGER: Final[Mapping[str, tuple[int, str]]] = {
    "CreateSchedule": (MAX_SCHEDULE_BYTES, "schedule.spec"),
    "UpdateSchedule": (MAX_SCHEDULE_BYTES, "schedule.spec"),
    "BatchCreateTasks": (MAX_BATCH_BYTES, "specs"),
    "CreateJob": (MAX_BATCH_BYTES, "spec"),
    "AppendJobItems": (MAX_BATCH_BYTES, "items"),
    "WatchTasks": (3 << 20, "ids"),
    "CancelTasks": (3 << 20, "ids"),
    "RetryTasks": (3 << 20, "ids"),
    "DeleteTasks": (3 << 20, "ids"),
    "UpdateTasks": (3 << 20, "ids"),
    "Publish": (MOST_BODY + BESIDE, "publications"),
    "Transact": (MAX_MESSAGES_BYTES, "publications"),
}
# Those that hold one spec, which `--max-payload-kib` bounds.
_SPECS: Final[Mapping[str, str]] = {
    "CreateTask": "spec",
    "RetryTask": "spec",
    "CreateService": "service.spec",
    "UpdateService": "service.spec",
}
TOO_LARGE: Final = "PAYLOAD_TOO_LARGE"

size_of_request: Final[ContextVar[int]] = ContextVar("size_of_request", default=0)
"""Bytes of the request that is being answered; 0: not known."""


def check_size(method: str, size: int, max_payload: int) -> None:
    """Refuse a request that is larger than the largest good one of this RPC.

    Args:
        max_payload: bytes of a spec, where requests hold one.

    Raises:
        QuorateError: INVALID_ARGUMENT (PAYLOAD_TOO_LARGE) naming the field and the limit.
    """
    if size <= DEFAULT:
        return
    if method in _SPECS:
        field, most = _SPECS[method], max_payload
    else:
        most, field = _LARGER.get(method, (DEFAULT, "request"))
    if size > most + _BESIDE:
        raise invalid(
            field,
            f"the request has {size} bytes; the limit is {most}",
            reason=TOO_LARGE,
            limit=most,
            value=size,
        )
