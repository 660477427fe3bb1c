"""The message about the end of a task or a job. docs/messages.md names its fields."""

from __future__ import annotations

import json
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.v1.message_pb2 import HeaderValue, MessageProperties
from scheduler.core.broker import events as be
from scheduler.core.broker.intake import EVENT_HEADER
from scheduler.core.model.effects.ended import Ended

QUEUE_HEADER: Final = "quorate-queue"
STATE_HEADER: Final = "quorate-state"
# Characters of an error's message.
MOST_ERROR: Final = 1_024


def publication(ended: Ended) -> be.Publication:
    """The message, ready to be routed."""
    state = ended.state.lower()
    key = f"{ended.kind}.{ended.queue}.{state}"
    properties = MessageProperties(
        content_type="application/json",
        type=f"quorate.{ended.kind}",
        app_id="quorate",
        # A task that is retried by hand ends again.
        message_id=f"{ended.id}.{ended.attempt}.{state}",
        timestamp=_instant(ended.finish_time),
        headers={
            EVENT_HEADER: HeaderValue(text=ended.kind),
            QUEUE_HEADER: HeaderValue(text=ended.queue),
            STATE_HEADER: HeaderValue(text=state),
        },
    ).SerializeToString(deterministic=True)
    body = json.dumps(_body(ended), separators=(",", ":"), ensure_ascii=False).encode(
        errors="replace"
    )
    envelope = MessageEnvelope(
        exchange=ended.to.exchange, routing_key=key, properties=properties, body=body
    )
    return be.Publication(
        envelope.SerializeToString(),
        ended.to.exchange,
        key.encode(),
        properties,
        body_size=len(body),
    )


def _body(ended: Ended) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": ended.kind,
        "id": ended.id,
        "queue": ended.queue,
        "state": ended.state,
        "attempt" if ended.kind == "task" else "round": ended.attempt,
        "create_time": _instant(ended.create_time).ToJsonString(),
        "finish_time": _instant(ended.finish_time).ToJsonString(),
    }
    if ended.labels:
        found["labels"] = dict(ended.labels)
    if ended.error_type or ended.error_message:
        found["error"] = {
            "type": ended.error_type,
            "message": ended.error_message[:MOST_ERROR],
        }
    if ended.counts is not None:
        found["succeeded"], found["failed"], found["cancelled"] = ended.counts
    return found


def _instant(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(round(seconds * 1e6))
    return stamp
