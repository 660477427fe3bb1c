"""From a request's path to its operations.

Works on the raw path: it is split at `/` first and each segment is decoded after that, so that an
encoded slash or colon is part of a value and never a separator. A colon in the last segment that is
not encoded begins a verb; no id or name of the API holds one.

Literals win over variables. A router is made once and never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from gateway.rest.operations import Operation
from gateway.rest.template import Variable
from quorate.runtime.errors import invalid

# Longer paths are nobody's; it also bounds the search below.
_MOST_SEGMENTS = 32


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    # verb -> HTTP method -> operation
    leaves: dict[str, dict[str, Operation]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """A path that is served: its operations by HTTP method, and the segments as they were sent."""

    operations: Mapping[str, Operation]
    segments: tuple[str, ...]

    def values(self, operation: Operation) -> dict[str, str]:
        """The path's values by field path. Raises QuorateError for text that is not UTF-8."""
        found = {}
        for kind, raw in zip(operation.template.segments, self.segments, strict=True):
            if isinstance(kind, Variable):
                try:
                    found[kind.field] = unquote_to_bytes(raw).decode()
                except UnicodeDecodeError:
                    raise invalid(kind.field, "is not UTF-8", reason="MALFORMED_PATH") from None
        return found


class Router:
    """All operations by path. Raises ValueError when two have the same path and method."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        self._gets: dict[tuple[object, ...], Operation] = {}
        for operation in operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        node = self._root
        template = operation.template
        for segment in template.segments:
            if isinstance(segment, Variable):
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.literals.setdefault(segment, _Node())
        leaf = node.leaves.setdefault(template.verb, {})
        if operation.verb in leaf:
            raise ValueError(f"{operation.id}: {operation.verb} {template.text} is served already")
        leaf[operation.verb] = operation
        single = not operation.method.streams and operation.resource_field is not None
        if operation.reads and not template.verb and single:
            self._gets[_shape(operation)] = operation

    def match(self, raw_path: str) -> Match | None:
        """What is served at a path (percent-encoded, without the query)."""
        if not raw_path.startswith("/"):
            return None
        segments = raw_path[1:].split("/")
        if len(segments) > _MOST_SEGMENTS:
            return None
        segments[-1], _, verb = segments[-1].partition(":")
        if not all(segments):
            return None
        leaf = _find(self._root, segments, 0, verb)
        return None if leaf is None else Match(leaf, tuple(segments))

    def getter(self, operation: Operation) -> Operation | None:
        """The GET of the resource that an operation changes, if the API has one."""
        return None if operation.reads else self._gets.get(_shape(operation))


def _shape(operation: Operation) -> tuple[object, ...]:
    return tuple(None if isinstance(one, Variable) else one for one in operation.template.segments)


def _find(node: _Node, segments: list[str], place: int, verb: str) -> dict[str, Operation] | None:
    if place == len(segments):
        return node.leaves.get(verb)
    after = node.literals.get(unquote_to_bytes(segments[place]).decode(errors="replace"))
    if after is not None and (leaf := _find(after, segments, place + 1, verb)) is not None:
        return leaf
    if node.variable is not None:
        return _find(node.variable, segments, place + 1, verb)
    return None
