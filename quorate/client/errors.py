"""What the SDK raises.

* `QuorateError`: the cluster refused, or could not be reached (`code`, `reason`, `metadata`).
* `ArgumentNotSerialisable`, `PayloadTooLarge`: raised before anything is sent.
* `LargeValueError`: the blob store does not take an argument, or does not have a result.
* `TaskFailed`, `TaskCancelled`: what became of the task. A Python task that failed raises its
  original exception where that could be pickled; `TaskFailed` is then its `__cause__`.
* `MessageUnroutable`, `MessageRejected`: what became of a message that is in no queue.
* `ConsumerEnded`, `DeliveryLost`: the leader ended a consumer, or refused a settlement.
* `UnplaceableWarning` (a warning): no registered node is large enough for what was created.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable, Mapping
from typing import Any

import grpc

from quorate.client.unplaceable import UnplaceableWarning
from quorate.runtime.errors import QuorateError

__all__ = [
    "ArgumentNotSerialisable",
    "ConsumerEnded",
    "DeliveryLost",
    "LargeValueError",
    "MessageRejected",
    "MessageUnroutable",
    "PayloadTooLarge",
    "QuorateError",
    "TaskCancelled",
    "TaskFailed",
    "UnplaceableWarning",
]


class TaskFailed(Exception):
    """The task's attempts are spent.

    `type` is the remote exception's qualified name or one of the cluster's own in UPPER_SNAKE
    (EXIT_CODE, TIMEOUT, ...); `code` the exit code or signal of a command; `remote_traceback`
    the traceback on the node, or empty.
    """

    def __init__(
        self,
        task_id: str,
        type: str,
        message: str,
        *,
        remote_traceback: str = "",
        code: int = 0,
        attempts: int = 0,
    ) -> None:
        super().__init__(task_id, type, message)
        self.task_id = task_id
        self.type = type
        self.message = message
        self.remote_traceback = remote_traceback
        self.code = code
        self.attempts = attempts

    def __str__(self) -> str:
        times = "" if self.attempts <= 1 else f" after {self.attempts} attempts"
        return f"task {self.task_id} failed{times}: {self.type}: {self.message}"


class TaskCancelled(concurrent.futures.CancelledError):
    """The task was cancelled before it had a result; or itself, for `reason` (`quorate.Cancel`)."""

    def __init__(self, task_id: str, reason: str = "") -> None:
        super().__init__(*filter(None, (task_id, reason)))
        self.task_id = task_id
        self.reason = reason

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"task {self.task_id} was cancelled{why}"


class ArgumentNotSerialisable(QuorateError, TypeError):
    """An argument cannot be pickled. `argument` says which; nothing was sent."""

    def __init__(self, argument: str, cause: str) -> None:
        super().__init__(
            grpc.StatusCode.INVALID_ARGUMENT,
            "ARGUMENT_NOT_SERIALISABLE",
            f"{argument} cannot be sent to the cluster: {cause}",
            field=argument,
        )
        self.argument = argument


class LargeValueError(QuorateError):
    """A large argument or result cannot be written to, or read from, the cluster's blob store.

    `reason`: BLOB_CORRUPT (other bytes than were written), BLOB_NOT_FOUND (deleted),
    BLOB_STORE_UNAVAILABLE.
    """

    def __init__(self, reason: str, message: str) -> None:
        code = {
            "BLOB_CORRUPT": grpc.StatusCode.DATA_LOSS,
            "BLOB_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
        }.get(reason, grpc.StatusCode.UNAVAILABLE)
        super().__init__(code, reason, message)


class PayloadTooLarge(QuorateError, ValueError):
    """The serialised work is larger than `limit` bytes; nothing was sent.

    `field` of the metadata: "spec" for one task, "specs" for a batch as a whole, "items" for an
    item of an array, which `item` names.
    """

    def __init__(
        self,
        size: int,
        limit: int,
        *,
        batch: bool = False,
        item: str = "",
        store: bool = False,
    ) -> None:
        what = item or "work"
        advice = "pass a path or a key instead of the data"
        if not item:
            advice += ", or give the cluster a blob store (--blob-url, docs/large-values.md)"
        if batch:
            what, advice = ("batch", "submit it in parts")
        elif store:
            advice = "pass a path or a key instead of the data, or raise --max-blob-mib"
        super().__init__(
            grpc.StatusCode.INVALID_ARGUMENT,
            "PAYLOAD_TOO_LARGE",
            f"the {what} is {size:,} bytes, the limit is {limit:,}; {advice}",
            field="specs" if batch else "items" if item else "spec",
            metadata={"limit": str(limit), "size": str(size)},
        )
        self.size = size
        self.limit = limit


class MessageUnroutable(QuorateError):
    """A mandatory message reached no queue: none is bound for it, or the queue does not exist."""


class MessageRejected(QuorateError):
    """The cluster rejected a message.

    | `reason` | the message | send it again |
    |---|---|---|
    | MESSAGE_QUEUE_FULL (its queue is at its limit, and rejects) | is in no queue | later |
    | MESSAGE_QUEUE_BUSY (its queue has no room at the moment) | is in no queue | later |
    | EXCHANGE_NOT_FOUND, or a field of the message is wrong | is in no queue | once mended |
    | OUTCOME_FORGOTTEN | may be in its queues or not | if twice does no harm |

    OUTCOME_FORGOTTEN only follows a change of leaders: the answer was lost with the former leader,
    and the cluster has forgotten what it was. It takes a producer with a `max_messages` above
    1,000, or very many producers whose messages are rejected.
    """


class ConsumerEnded(QuorateError):
    """The leader ended a consumer; messages that it had are delivered to others.

    `reason`: MESSAGE_QUEUE_DELETED, CONSUMER_TIMEOUT (a delivery was not settled within the queue's
    `consumer_timeout`), ...
    """


class DeliveryLost(QuorateError):
    """A delivery was settled that was not the consumer's any more: it may be delivered again.

    `deliveries`: the ids of all that one request settled in vain.
    """

    deliveries: tuple[int, ...] = ()

    @classmethod
    def of(cls, deliveries: Iterable[int], failure: Mapping[str, Any]) -> DeliveryLost:
        """The error for these deliveries. `failure`: arguments of a QuorateError."""
        made = cls(**failure)
        made.deliveries = tuple(deliveries)
        return made
