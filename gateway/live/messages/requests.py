"""What a client says, read strictly: every fault names the field it is about. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.http.jsonread import load
from gateway.http.scalars import BadValue, enum_reader, read_integer, read_string, shown
from gateway.live import limits
from gateway.live.messages.filters import Filter, LogFilter, NameFilter, TaskFilter
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import task_pb2

_read_state = enum_reader(task_pb2.TaskState.DESCRIPTOR)


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Begin a subscription, in place of one with the same id."""

    id: str
    topic: str
    filter: Filter
    resume: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """End a subscription; nothing when there is none."""

    id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer with a pong."""


Request = Subscribe | Unsubscribe | Ping


class Malformed(Exception):
    """A message that is not understood. `id` is the subscription it meant, where known."""

    def __init__(self, error: QuorateError, subscription: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.id = subscription


def read_request(data: bytes) -> Request:
    """One message of a client. Raises Malformed."""
    subscription = ""
    try:
        message = load(data, limits.VALUES) if data else {}
        given = message.get("id")
        if isinstance(given, str) and len(given) <= limits.ID_LENGTH:
            subscription = read_string(given)
        return _read(message)
    except BadValue as error:
        raise Malformed(invalid("id", str(error)), "") from None
    except QuorateError as error:
        raise Malformed(error, subscription) from None


def _read(message: Mapping[str, Any]) -> Request:
    op = message.get("op")
    if op == "ping":
        _only(message, "op")
        return Ping()
    if op == "unsubscribe":
        _only(message, "op", "id")
        return Unsubscribe(_id(message))
    if op != "subscribe":
        raise invalid("op", f"must be subscribe, unsubscribe or ping, not {shown(op)}")
    _only(message, "op", "id", "topic", "filter", "resume")
    name = _id(message)
    topic = message.get("topic")
    if not isinstance(topic, str) or topic not in _TOPICS:
        raise invalid("topic", f"must be one of {', '.join(_TOPICS)}, not {shown(topic)}")
    wanted = message.get("filter")
    if wanted is None:
        wanted = {}
    if not isinstance(wanted, dict):
        raise invalid("filter", f"must be an object, not {shown(wanted)}")
    resume = _text(message, "resume", "resume", most=512)
    return Subscribe(name, topic, _TOPICS[topic](wanted), resume)


def _id(message: Mapping[str, Any]) -> str:
    name = _text(message, "id", "id", most=limits.ID_LENGTH)
    if not name:
        raise invalid("id", f"must be 1 to {limits.ID_LENGTH} characters")
    return name


def _task_filter(wanted: Mapping[str, Any]) -> TaskFilter:
    _only(wanted, "queue", "ids", "states", "labels", "limit", "progress", prefix="filter.")
    progress = wanted.get("progress") or False
    if not isinstance(progress, bool):
        raise invalid("filter.progress", f"must be true or false, not {shown(progress)}")
    states = _items(wanted, "states", 16)
    labels = wanted.get("labels") or {}
    if not isinstance(labels, dict) or len(labels) > limits.LABELS:
        raise invalid("filter.labels", f"must be an object of at most {limits.LABELS} labels")
    return TaskFilter(
        queue=_text(wanted, "queue", "filter.queue"),
        ids=_strings(wanted, "ids", limits.IDS),
        states=frozenset(_checked(f"filter.states[{n}]", _read_state, s) for n, s in states),
        labels=frozenset((key, _text(labels, key, f"filter.labels[{key}]")) for key in labels),
        limit=_integer(wanted, "limit", 1, limits.MOST_LIMIT, limits.LIMIT),
        progress=progress,
    )


def _name_filter(wanted: Mapping[str, Any]) -> NameFilter:
    _only(wanted, "names", prefix="filter.")
    return NameFilter(_strings(wanted, "names", limits.NAMES))


def _job_filter(wanted: Mapping[str, Any]) -> NameFilter:
    _only(wanted, "ids", prefix="filter.")
    return NameFilter(_strings(wanted, "ids", limits.JOB_IDS))


def _no_filter(wanted: Mapping[str, Any]) -> NameFilter:
    _only(wanted, prefix="filter.")
    return NameFilter()


def _log_filter(wanted: Mapping[str, Any]) -> LogFilter:
    _only(wanted, "id", "attempt", "tailLines", prefix="filter.")
    task = _text(wanted, "id", "filter.id")
    if not task:
        raise invalid("filter.id", "is required: the task's id")
    return LogFilter(
        task,
        _integer(wanted, "attempt", 0, 2**31 - 1, 0),
        _integer(wanted, "tailLines", 0, limits.TAIL_LINES, 0),
    )


_TOPICS: Final[Mapping[str, Callable[[Mapping[str, Any]], Filter]]] = {
    "tasks": _task_filter,
    "queues": _name_filter,
    "nodes": _name_filter,
    "services": _name_filter,
    "jobs": _job_filter,
    "cluster": _no_filter,
    "logs": _log_filter,
}


def _only(message: Mapping[str, Any], *names: str, prefix: str = "") -> None:
    for name in message:
        if name not in names:
            known = ", ".join(names) or "nothing"
            where = f"{prefix}{name[:80]}"
            raise invalid(where, f"is unknown; known fields are {known}", reason="UNKNOWN_FIELD")


def _text(message: Mapping[str, Any], name: str, where: str, *, most: int = 256) -> str:
    value = message.get(name)
    if value is None:
        return ""
    text = str(_checked(where, read_string, value))
    if len(text) > most:
        raise invalid(where, f"is longer than {most} characters")
    return text


def _strings(message: Mapping[str, Any], name: str, most: int) -> frozenset[str]:
    found = set()
    for place, item in _items(message, name, most):
        where = f"filter.{name}[{place}]"
        text = _checked(where, read_string, item)
        if not 1 <= len(text) <= 256:
            raise invalid(where, "must be 1 to 256 characters")
        found.add(text)
    return frozenset(found)


def _items(message: Mapping[str, Any], name: str, most: int) -> list[tuple[int, Any]]:
    items = message.get(name)
    if items is None:
        return []
    if not isinstance(items, list):
        raise invalid(f"filter.{name}", f"must be an array, not {shown(items)}")
    if len(items) > most:
        raise invalid(f"filter.{name}", f"has {len(items)} items; at most {most}", limit=most)
    return list(enumerate(items))


def _integer(message: Mapping[str, Any], name: str, least: int, most: int, default: int) -> int:
    value = message.get(name)
    if value is None:
        return default
    where = f"filter.{name}"
    return int(_checked(where, lambda item: read_integer(item, least, most), value))


def _checked(where: str, read: Callable[[Any], Any], value: object) -> Any:
    try:
        return read(value)
    except BadValue as error:
        raise invalid(where, str(error)) from None
