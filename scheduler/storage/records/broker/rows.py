"""Rows of the broker as records: what is on record of exchanges, bindings, message queues, sessions
and producers.

`X_of` reads a record, `X_record` undoes it. What a later version has written beside it is kept by
`writes.LaterFields`. An enum's value that this version does not know is read as the default; such a
record is not written by this version, as it never changes the specs of queues.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Final

from quorate.internal.v1 import messages_pb2 as r
from scheduler.core.broker.policies import effective
from scheduler.core.broker.routing.rows import (
    Binding,
    Destination,
    DestinationKind,
    Exchange,
    ExchangeType,
)
from scheduler.core.broker.rows import (
    AppliedPolicy,
    ApplyTo,
    MessageQueueRow,
    MessageQueueSpec,
    NamedOffset,
    Overflow,
    PolicyDefinition,
    PolicyRow,
    ProducerRow,
    QueueType,
    QueueUid,
    Refused,
    SessionId,
    SessionRow,
)
from scheduler.storage.records.broker.tables import put_table, table_of

_EXCHANGE_TYPES: Final = {kind.value: kind for kind in ExchangeType}
# The numbers are those of `quorate.v1`.
_QUEUE_TYPES: Final = {QueueType.QUEUE: 1, QueueType.STREAM: 2}
_OVERFLOWS: Final = {
    Overflow.DROP_HEAD: 1,
    Overflow.REJECT_PUBLISH: 2,
    Overflow.REJECT_PUBLISH_DEAD_LETTER: 3,
}
_QUEUE_TYPES_OF: Final[Mapping[int, QueueType]] = {n: kind for kind, n in _QUEUE_TYPES.items()}
_APPLY_TO: Final = {one.value: one for one in ApplyTo}
# Fields of a definition that are on record as they are.
_PLAIN: Final = tuple(
    field for field in PolicyDefinition.__dataclass_fields__ if field != "overflow"
)
_OVERFLOWS_OF: Final[Mapping[int, Overflow]] = {n: kind for kind, n in _OVERFLOWS.items()}


def host_record(name: str) -> r.VirtualHostRecord:
    """A virtual host."""
    return r.VirtualHostRecord(name=name)


def exchange_record(row: Exchange) -> r.ExchangeRecord:
    """Undoes `exchange_of`."""
    record = r.ExchangeRecord(
        virtual_host=row.virtual_host,
        name=row.name,
        type=row.type.value,
        durable=row.durable,
        auto_delete=row.auto_delete,
        internal=row.internal,
        policy_alternate=row.policy_alternate,
        create_time=row.create_time,
    )
    put_table(record.arguments, row.arguments)
    return record


def exchange_of(record: r.ExchangeRecord) -> Exchange | None:
    """None for one of a type that this version does not know: it routes nothing here."""
    kind = _EXCHANGE_TYPES.get(record.type)
    if kind is None:
        return None
    return Exchange(
        record.virtual_host,
        record.name,
        kind,
        record.durable,
        record.auto_delete,
        record.internal,
        table_of(record.arguments),
        record.policy_alternate if record.HasField("policy_alternate") else None,
        record.create_time,
    )


def binding_record(row: Binding) -> r.BindingRecord:
    """Undoes `binding_of`."""
    record = r.BindingRecord(
        virtual_host=row.virtual_host,
        source=row.source,
        destination=row.destination.name,
        to_exchange=row.destination.kind is DestinationKind.EXCHANGE,
        to_task_queue=row.destination.kind is DestinationKind.TASK_QUEUE,
        key=row.key,
        ordinal=row.ordinal,
    )
    put_table(record.arguments, row.arguments)
    return record


def binding_of(record: r.BindingRecord) -> Binding:
    kind = DestinationKind.EXCHANGE if record.to_exchange else DestinationKind.QUEUE
    if record.to_task_queue:
        kind = DestinationKind.TASK_QUEUE
    return Binding(
        record.virtual_host,
        record.source,
        Destination(kind, record.destination),
        record.key,
        table_of(record.arguments),
        record.ordinal,
    )


def message_queue_record(row: MessageQueueRow) -> r.MessageQueueRecord:
    """Undoes `message_queue_of`."""
    spec = row.declared
    record = r.MessageQueueRecord(
        virtual_host=row.virtual_host,
        name=row.name,
        type=_QUEUE_TYPES[spec.type],
        exclusive=spec.exclusive,
        auto_delete=spec.auto_delete,
        message_ttl=_finite(spec.message_ttl),
        expires=_finite(spec.expires),
        max_length=spec.max_length,
        max_length_bytes=spec.max_length_bytes,
        overflow=_OVERFLOWS[spec.overflow],
        dead_letter_exchange=spec.dead_letter_exchange,
        dead_letter_routing_key=spec.dead_letter_routing_key,
        max_priority=spec.max_priority,
        delivery_limit=spec.delivery_limit,
        single_active_consumer=spec.single_active_consumer,
        max_age=_finite(spec.max_age),
        durable=spec.durable,
        consumer_timeout=_finite(spec.consumer_timeout),
        create_time=row.create_time,
        owner=row.owner,
        no_backlog=spec.no_backlog,
    )
    put_table(record.arguments, spec.arguments)
    if row.policy is not None:
        record.policy, record.operator_policy = row.policy.policy, row.policy.operator
        _put_definition(record.policy_definition, row.policy.definition)
    return record


def message_queue_of(uid: QueueUid, record: r.MessageQueueRecord) -> MessageQueueRow:
    spec = MessageQueueSpec(
        _QUEUE_TYPES_OF.get(record.type, QueueType.QUEUE),
        record.exclusive,
        record.auto_delete,
        record.message_ttl if record.HasField("message_ttl") else inf,
        record.expires if record.HasField("expires") else inf,
        record.max_length,
        record.max_length_bytes,
        _OVERFLOWS_OF.get(record.overflow, Overflow.DROP_HEAD),
        record.dead_letter_exchange if record.HasField("dead_letter_exchange") else None,
        record.dead_letter_routing_key if record.HasField("dead_letter_routing_key") else None,
        record.max_priority,
        record.delivery_limit,
        record.single_active_consumer,
        record.max_age if record.HasField("max_age") else inf,
        record.durable,
        table_of(record.arguments),
        record.consumer_timeout if record.HasField("consumer_timeout") else inf,
        record.no_backlog,
    )
    row = MessageQueueRow(
        uid, record.virtual_host, record.name, spec, record.create_time, SessionId(record.owner)
    )
    if not record.HasField("policy_definition"):
        return row
    definition = _definition_of(record.policy_definition)
    applied = AppliedPolicy(record.policy, record.operator_policy, definition, spec)
    return replace(row, spec=effective(spec, definition), policy=applied)


def policy_record(row: PolicyRow) -> r.MessagePolicyRecord:
    """Undoes `policy_of`."""
    record = r.MessagePolicyRecord(
        virtual_host=row.virtual_host,
        name=row.name,
        pattern=row.pattern,
        apply_to=row.apply_to.value,
        priority=row.priority,
        operator=row.operator,
    )
    _put_definition(record.definition, row.definition)
    return record


def policy_of(record: r.MessagePolicyRecord) -> PolicyRow | None:
    """None for one that is for what this version does not know."""
    if record.apply_to not in _APPLY_TO:
        return None
    return PolicyRow(
        record.virtual_host,
        record.name,
        record.pattern,
        _definition_of(record.definition),
        _APPLY_TO[record.apply_to],
        record.priority,
        record.operator,
    )


def _put_definition(record: r.PolicyDefinitionRecord, row: PolicyDefinition) -> None:
    record.SetInParent()
    for field in _PLAIN:
        if (value := getattr(row, field)) is not None:
            setattr(record, field, value)
    if row.overflow is not None:
        record.overflow = _OVERFLOWS[row.overflow]


def _definition_of(record: r.PolicyDefinitionRecord) -> PolicyDefinition:
    found = {field: getattr(record, field) for field in _PLAIN if record.HasField(field)}
    overflow = _OVERFLOWS_OF.get(record.overflow) if record.overflow else None
    return PolicyDefinition(overflow=overflow, **found)


def session_record(row: SessionRow) -> r.MessageSessionRecord:
    """Undoes `session_of`."""
    return r.MessageSessionRecord(
        id=row.id,
        caller=row.caller,
        virtual_host=row.virtual_host,
        queues=row.queues,
        create_time=row.create_time,
    )


def session_of(record: r.MessageSessionRecord) -> SessionRow:
    queues = tuple([QueueUid(uid) for uid in record.queues])
    return SessionRow(
        SessionId(record.id), record.caller, record.virtual_host, queues, record.create_time
    )


def offset_record(row: NamedOffset) -> r.StreamOffsetRecord:
    """Undoes `offset_of`."""
    return r.StreamOffsetRecord(name=row.name, offset=row.offset, instant=row.instant)


def offset_of(record: r.StreamOffsetRecord) -> NamedOffset:
    return NamedOffset(record.name, record.offset, record.instant)


def producer_record(row: ProducerRow) -> r.ProducerRecord:
    """Undoes `producer_of`."""
    record = r.ProducerRecord(
        key=row.key,
        number=row.number,
        instant=row.instant,
        digest=row.digest,
        forgotten=row.forgotten,
    )
    reasons: dict[tuple[bool, int, str], int] = {}
    packed: list[int] = []
    end = 0
    for first, last, returned, code, text in row.refused:
        place = reasons.setdefault((returned, code, text), len(reasons))
        packed += first - end, last - first + 1, place
        end = last + 1
    record.refused.extend(packed)
    for returned, code, text in reasons:
        record.reasons.add(returned=returned, code=code, reason=text)
    return record


def producer_of(record: r.ProducerRecord) -> ProducerRow:
    """Lenient: runs that make no sense are left out."""
    reasons = [(one.returned, one.code, one.reason) for one in record.reasons]
    runs: list[Refused] = []
    packed, end = record.refused, 0
    for gap, count, place in zip(packed[::3], packed[1::3], packed[2::3], strict=False):
        first, end = end + gap, end + gap + count
        if count and place < len(reasons):
            runs.append(Refused(first, end - 1, *reasons[place]))
    return ProducerRow(
        record.key, record.number, record.instant, record.digest, tuple(runs), record.forgotten
    )


def _finite(seconds: float) -> float | None:
    return None if seconds == inf else seconds
