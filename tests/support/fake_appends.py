"""What the fake scheduler answers who appends where others have."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2


def refuse_others(
    items: Sequence[bytes], appenders: list[str], request: scheduler_pb2.AppendJobItemsRequest
) -> None:
    """Raise JOB_ITEMS_DIFFER where the request's items are not those that are there.

    Args:
        appenders: who appended each item; made as long as the items.
    """
    appenders += [""] * (len(items) - len(appenders))
    first = request.first_position
    there = list(zip(items[first:], appenders[first:], request.items, strict=False))
    for known, (item, appender, asked) in enumerate(there):
        both = appender and request.appender
        if appender != request.appender if both else item != asked:
            raise QuorateError(
                grpc.StatusCode.ABORTED,
                "JOB_ITEMS_DIFFER",
                f"another program has appended items to job {request.id}",
                metadata={"known": str(known), "count": str(len(items))},
            )
