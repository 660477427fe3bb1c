"""Policies: what queues and exchanges have whose names match, beside what was declared.

    declared spec --+
    policy ---------+--> merged --> the spec in force (`MessageQueueRow.spec`)
    operator policy-+

Of the policies of a kind that match, the one with the highest priority applies, alone; of equal
ones, the first by name. Of a number that both a declaration and a policy have, the lower one is in
force; of anything else the declared one. https://www.rabbitmq.com/docs/policies,
https://www.rabbitmq.com/docs/maxlength, https://www.rabbitmq.com/docs/ttl
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf
from typing import Final, TypeVar

from quorate.runtime.errors import invalid
from quorate.runtime.matching.patterns import BadPattern, Pattern
from scheduler.core.broker.queues import checks as queue_checks
from scheduler.core.broker.routing import checks
from scheduler.core.broker.routing.fields import lookup
from scheduler.core.broker.rows import (
    DEFAULT_DELIVERY_LIMIT,
    AppliedPolicy,
    ApplyTo,
    MessageQueueRow,
    MessageQueueSpec,
    Overflow,
    PolicyDefinition,
    PolicyRow,
    QueueType,
)

MOST_PRIORITY: Final = (1 << 31) - 1
# States of a pattern: one name costs at most 100 x 255 steps.
MOST_STATES: Final = 100
_NOTHING: Final = PolicyDefinition()
# https://www.rabbitmq.com/docs/policies#operator-policy-definition
OF_OPERATORS: Final = ("message_ttl", "expires", "max_length", "max_length_bytes", "delivery_limit")
SECONDS: Final = ("message_ttl", "expires", "max_age")
_COUNTS: Final = ("max_length", "max_length_bytes")
_QUEUE_TYPE: Final = "x-queue-type"

_T = TypeVar("_T", int, float)


class Policies:
    """All policies of a cluster: rows, and their patterns compiled."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, bool, str], PolicyRow] = {}
        # By virtual host, the ones that come first first.
        self._ordered: dict[str, list[PolicyRow]] = {}
        self._patterns: dict[str, Pattern] = {}

    def put(self, row: PolicyRow) -> None:
        """A policy is on record."""
        self.rows[row.key] = row
        self._order(row.virtual_host)

    def drop(self, key: tuple[str, bool, str]) -> None:
        """A policy is gone."""
        row = self.rows.pop(key, None)
        if row is not None:
            self._order(row.virtual_host)

    def of(self, virtual_host: str) -> list[PolicyRow]:
        """Those of a virtual host: by priority, the highest first, then by name."""
        return self._ordered.get(virtual_host, [])

    def applied(self, row: MessageQueueRow) -> MessageQueueRow:
        """The row of a message queue with the policies that apply now."""
        policy = self._first(row.virtual_host, row.name, row.declared, operator=False)
        operator = self._first(row.virtual_host, row.name, row.declared, operator=True)
        if policy is None and operator is None:
            return row if row.policy is None else replace(row, spec=row.declared, policy=None)
        definition = merged([one.definition for one in (policy, operator) if one is not None])
        names = "" if policy is None else policy.name, "" if operator is None else operator.name
        applied = AppliedPolicy(*names, definition, row.declared)
        return replace(row, spec=effective(row.declared, definition), policy=applied)

    def alternate(self, virtual_host: str, name: str) -> str | None:
        """The alternate exchange that a policy gives an exchange."""
        for row in self.of(virtual_host):
            of_exchanges = row.apply_to in (ApplyTo.ALL, ApplyTo.EXCHANGES) and not row.operator
            if of_exchanges and self._matches(row.pattern, name):
                return row.definition.alternate_exchange
        return None

    def _first(
        self, virtual_host: str, name: str, spec: MessageQueueSpec, *, operator: bool
    ) -> PolicyRow | None:
        for row in self.of(virtual_host):
            if (
                row.operator is operator
                and _is_for(row.apply_to, spec)
                and self._matches(row.pattern, name)
            ):
                return row
        return None

    def _matches(self, pattern: str, name: str) -> bool:
        # A second look: a pattern counts what all names cost it, and begins anew.
        for _ in range(2):
            compiled = self._patterns.get(pattern)
            if compiled is None:
                compiled = self._patterns[pattern] = compile_pattern(pattern)
            try:
                return compiled.found_in(name)
            except BadPattern:
                del self._patterns[pattern]
        return False

    def _order(self, virtual_host: str) -> None:
        rows = [row for row in self.rows.values() if row.virtual_host == virtual_host]
        rows.sort(key=lambda row: (-row.priority, row.name))
        self._ordered[virtual_host] = rows
        used = dict.fromkeys(row.pattern for row in self.rows.values())
        self._patterns = {text: one for text, one in self._patterns.items() if text in used}


def compile_pattern(text: str) -> Pattern:
    """A pattern of names, which tells letters of either case apart. Raises BadPattern."""
    return Pattern(text, ignore_case=False, most_states=MOST_STATES)


def check(row: PolicyRow) -> None:
    """A policy that somebody sets. Raises INVALID_ARGUMENT that names the field."""
    checks.name("policy.name", row.name)
    try:
        compile_pattern(row.pattern)
    except BadPattern as error:
        raise invalid("policy.pattern", f"{row.pattern[:80]!r} {error}") from None
    if not -MOST_PRIORITY <= row.priority <= MOST_PRIORITY:
        raise invalid("policy.priority", f"is {row.priority}; use -2^31 + 1 to 2^31 - 1")
    definition = row.definition
    given = [
        field
        for field in PolicyDefinition.__dataclass_fields__
        if getattr(definition, field) is not None
    ]
    if not given:
        raise invalid("policy.definition", "is empty; set what the queues should have")
    if row.operator:
        for field in given:
            if field not in OF_OPERATORS:
                raise invalid(
                    f"policy.definition.{field}",
                    f"cannot stand in an operator policy; use {', '.join(OF_OPERATORS)}",
                )
        if row.apply_to is ApplyTo.EXCHANGES:
            raise invalid("policy.apply_to", "of an operator policy is one of queues")
    _check_values(row)


def _check_values(row: PolicyRow) -> None:
    definition = row.definition
    for field in SECONDS:
        if (seconds := getattr(definition, field)) is not None:
            queue_checks.seconds("policy.definition", field, seconds)
    for field in _COUNTS:
        number = getattr(definition, field)
        if number is not None and not 0 < number < 1 << 63:
            raise invalid(
                f"policy.definition.{field}", f"is {number}; use a number from 1 to 2^63 - 1"
            )
    if definition.delivery_limit is not None and not 0 <= definition.delivery_limit < 1 << 32:
        raise invalid(
            "policy.definition.delivery_limit",
            f"is {definition.delivery_limit}; use 1 to 2^32 - 1, or 0 for no limit",
        )
    if definition.dead_letter_exchange:
        checks.name("policy.definition.dead_letter_exchange", definition.dead_letter_exchange)
    if definition.dead_letter_routing_key is not None:
        key = definition.dead_letter_routing_key.encode()
        checks.key("policy.definition.dead_letter_routing_key", key)
    if definition.alternate_exchange is not None:
        checks.name("policy.definition.alternate_exchange", definition.alternate_exchange)
        if row.apply_to not in (ApplyTo.ALL, ApplyTo.EXCHANGES):
            raise invalid(
                "policy.definition.alternate_exchange",
                f"is for exchanges, and apply_to is {row.apply_to.value!r}; use all or exchanges",
            )


def merged(definitions: Iterable[PolicyDefinition]) -> PolicyDefinition:
    """Of numbers that several have the lowest one, of anything else the first one."""
    found = _NOTHING
    for one in definitions:
        found = PolicyDefinition(
            _lower(found.message_ttl, one.message_ttl),
            _lower(found.expires, one.expires),
            _lower(found.max_length, one.max_length),
            _lower(found.max_length_bytes, one.max_length_bytes),
            found.overflow or one.overflow,
            _first(found.dead_letter_exchange, one.dead_letter_exchange),
            _first(found.dead_letter_routing_key, one.dead_letter_routing_key),
            _lower_limit(found.delivery_limit, one.delivery_limit),
            _lower(found.max_age, one.max_age),
            _first(found.alternate_exchange, one.alternate_exchange),
        )
    return found


def effective(declared: MessageQueueSpec, policy: PolicyDefinition) -> MessageQueueSpec:
    """What is in force of a queue that was declared like this."""
    if declared.type is QueueType.STREAM:
        return replace(
            declared,
            max_length_bytes=_lower(declared.max_length_bytes or None, policy.max_length_bytes)
            or 0,
            max_age=min(declared.max_age, _or_inf(policy.max_age)),
        )
    has = {name for name, _ in declared.arguments}
    exchange = _first(declared.dead_letter_exchange, policy.dead_letter_exchange)
    key = _first(declared.dead_letter_routing_key, policy.dead_letter_routing_key)
    length, size = declared.max_length, declared.max_length_bytes
    if not declared.no_backlog:
        length = _lower(length or None, policy.max_length) or 0
        size = _lower(size or None, policy.max_length_bytes) or 0
    overflow = declared.overflow
    if overflow is Overflow.DROP_HEAD and "x-overflow" not in has:
        overflow = policy.overflow or overflow
    is_default = declared.delivery_limit == DEFAULT_DELIVERY_LIMIT
    limit: int | None = declared.delivery_limit
    if is_default and "x-delivery-limit" not in has and policy.delivery_limit is not None:
        limit = None
    limit = _lower_limit(limit, policy.delivery_limit)
    assert limit is not None
    return replace(
        declared,
        message_ttl=min(declared.message_ttl, _or_inf(policy.message_ttl)),
        expires=min(declared.expires, _or_inf(policy.expires)),
        max_length=length,
        max_length_bytes=size,
        overflow=overflow,
        dead_letter_exchange=exchange,
        dead_letter_routing_key=None if exchange is None else key,
        delivery_limit=limit,
    )


def _is_for(apply_to: ApplyTo, spec: MessageQueueSpec) -> bool:
    """Whether a policy applies to queues of this type. `classic` and `quorum` queues are of one
    kind here: what was declared decides."""
    stream = spec.type is QueueType.STREAM
    match apply_to:
        case ApplyTo.ALL | ApplyTo.QUEUES:
            return True
        case ApplyTo.STREAMS:
            return stream
        case ApplyTo.EXCHANGES:
            return False
    value = lookup(spec.arguments, _QUEUE_TYPE)
    quorum = value is not None and value.scalar == b"quorum"
    return not stream and quorum is (apply_to is ApplyTo.QUORUM)


def _lower(one: _T | None, other: _T | None) -> _T | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _lower_limit(one: int | None, other: int | None) -> int | None:
    """The lower delivery limit; 0, which is none, is the highest."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other) or max(one, other)


def _first(one: str | None, other: str | None) -> str | None:
    return other if one is None else one


def _or_inf(value: float | None) -> float:
    return inf if value is None else value
