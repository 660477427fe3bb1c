"""Requests about pauses and taints, from what callers pass; the same for both clients.

Raises QuorateError (INVALID_ARGUMENT) naming the argument.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final, Literal

from quorate.client.transport.rpcs import new_request_id
from quorate.client.work import placing
from quorate.client.work.schedules import instant
from quorate.client.work.texts import checked_texts, text_of
from quorate.runtime.errors import invalid
from quorate.v1 import pause_pb2, queue_pb2, scheduler_pb2

PauseScope = Literal["dispatch", "admission", "both"]
_SCOPES: Final[Mapping[str, queue_pb2.PauseScope]] = {
    "dispatch": queue_pb2.PAUSE_SCOPE_DISPATCH,
    "admission": queue_pb2.PAUSE_SCOPE_ADMISSION,
    "both": queue_pb2.PAUSE_SCOPE_BOTH,
}


def create_pause(
    name: str,
    labels: Mapping[str, str] | None,
    fairness_key: str,
    queue: str,
    scope: str,
    reason: str,
    until: dt.datetime | None,
) -> pause_pb2.CreatePauseRequest:
    if scope not in _SCOPES:
        raise invalid("scope", f"{scope!r} is not one of {', '.join(_SCOPES)}")
    if labels is not None and not isinstance(labels, Mapping):
        raise invalid("labels", f"must be a mapping of texts, not {labels!r}")
    pause = pause_pb2.Pause(
        name=text_of("name", name),
        queue=text_of("queue", queue),
        labels=checked_texts("labels", labels or {}),
        fairness_key=text_of("fairness_key", fairness_key),
        scope=_SCOPES[scope],
        reason=text_of("reason", reason),
    )
    if until is not None:
        pause.until.CopyFrom(instant("until", until))
    return pause_pb2.CreatePauseRequest(pause=pause, request_id=new_request_id())


def delete_pause(name: str, queue: str) -> pause_pb2.DeletePauseRequest:
    return pause_pb2.DeletePauseRequest(
        name=text_of("name", name), queue=text_of("queue", queue), request_id=new_request_id()
    )


def taint_node(name: str, taint: Any) -> scheduler_pb2.TaintNodeRequest:
    return scheduler_pb2.TaintNodeRequest(
        name=text_of("name", name),
        taint=placing.taint("taint", text_of("taint", taint)),
        request_id=new_request_id(),
    )


def untaint_node(name: str, taint: Any) -> scheduler_pb2.UntaintNodeRequest:
    key, equals, value = text_of("taint", taint).partition("=")
    return scheduler_pb2.UntaintNodeRequest(
        name=text_of("name", name),
        key=key.strip(),
        value=value.strip() if equals else None,
        request_id=new_request_id(),
    )


def get_node(name: str) -> scheduler_pb2.GetNodeRequest:
    return scheduler_pb2.GetNodeRequest(name=text_of("name", name))


def dismiss_node(name: str) -> scheduler_pb2.DismissNodeRequest:
    return scheduler_pb2.DismissNodeRequest(name=text_of("name", name), request_id=new_request_id())
