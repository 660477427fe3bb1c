"""Headers exchanges: bindings that look at the headers of a message.

A binding's arguments are conditions: the header is there with an equal value (`fields.comparable`),
or just there when the argument is void. `x-match` says how many must hold:

| x-match | of which arguments |
|---|---|
| `all` (the default), `any` | those whose names do not begin with `x-` |
| `all-with-x`, `any-with-x` | every one but `x-match` |

`all` of no conditions holds for each message, `any` of none holds for no message.

Each binding stands in an index under conditions: `any` under each of its own, `all` under the one
that fewest bindings had when it was bound. A message looks up its own headers, so it costs as much
as the bindings that it finds there, not as much as there are bindings.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from scheduler.core.broker.routing.fields import Table, comparable, lookup
from scheduler.core.broker.routing.matchers.matcher import NOTHING, Matched, matched
from scheduler.core.broker.routing.rows import Binding, BindingId, Destination, Message

X_MATCH: Final = "x-match"
MODES: Final = ("all", "any", "all-with-x", "any-with-x")

# The header's name, and what its value must be like; None: anything.
_Condition: TypeAlias = tuple[str, Hashable | None]


@dataclass(frozen=True, slots=True)
class _Rule:
    destination: Destination
    any: bool
    conditions: tuple[_Condition, ...]
    # Where it stands in the index.
    under: tuple[_Condition, ...]

    def holds(self, headers: Mapping[str, Hashable | None]) -> bool:
        """Whether all conditions do."""
        return all(
            name in headers and (like is None or headers[name] == like)
            for name, like in self.conditions
        )


class Headers:
    """The arguments of the binding match the headers. Routing keys do not matter."""

    def __init__(self) -> None:
        self._rules: dict[BindingId, _Rule] = {}
        self._index: dict[_Condition, dict[BindingId, _Rule]] = {}
        # `all` without conditions.
        self._always: dict[BindingId, _Rule] = {}

    def bind(self, binding: Binding) -> None:
        """Add a binding."""
        mode = _mode(binding.arguments)
        conditions = _conditions(binding.arguments, with_x=mode.endswith("-with-x"))
        any_of = mode.startswith("any")
        under = conditions
        if not any_of and conditions:
            under = (min(conditions, key=lambda one: len(self._index.get(one, ()))),)
        rule = _Rule(binding.destination, any_of, conditions, under)
        self._rules[binding.id] = rule
        if not any_of and not conditions:
            self._always[binding.id] = rule
        for condition in under:
            self._index.setdefault(condition, {})[binding.id] = rule

    def unbind(self, binding: Binding) -> None:
        """Remove a binding."""
        rule = self._rules.pop(binding.id)
        self._always.pop(binding.id, None)
        for condition in rule.under:
            rules = self._index[condition]
            del rules[binding.id]
            if not rules:
                del self._index[condition]

    def match(self, message: Message, keys: Sequence[bytes]) -> Matched:
        """The destinations for a message."""
        headers = {name: comparable(value) for name, value in message.headers.items()}
        found = [rule.destination for rule in self._always.values()]
        for name, like in headers.items():
            for rule in self._index.get((name, None), {}).values():
                if rule.any or rule.holds(headers):
                    found.append(rule.destination)
            # A value that nests too deep equals nothing.
            if like is None:
                continue
            for rule in self._index.get((name, like), {}).values():
                if rule.any or rule.holds(headers):
                    found.append(rule.destination)
        return matched(found) if found else NOTHING


def _mode(arguments: Table) -> str:
    value = lookup(arguments, X_MATCH)
    if value is None:
        return MODES[0]
    assert isinstance(value.scalar, bytes), "the binding was checked"
    return value.scalar.decode()


def _conditions(arguments: Table, *, with_x: bool) -> tuple[_Condition, ...]:
    """Each once, those with a value first: fewer messages meet them."""
    conditions: dict[_Condition, None] = {}
    for name, value in arguments:
        if name == X_MATCH or (name.startswith("x-") and not with_x):
            continue
        conditions[name, None if value.type == "V" else comparable(value)] = None
    return tuple(sorted(conditions, key=lambda one: one[1] is None))
