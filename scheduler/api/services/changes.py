"""What a caller changed of a service's spec, for the audit log.

Numbers and durations with their values. Of everything else the name alone: a command holds
arguments and environment, where secrets are, and labels may hold anything.
"""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from quorate.v1.service_pb2 import ServiceSpec
from scheduler.core.values import Change


def changes(old: ServiceSpec, new: ServiceSpec) -> tuple[Change, ...]:
    """The fields that differ, in the order of the contract; `old` is empty for a new service."""
    found = []
    for field in ServiceSpec.DESCRIPTOR.fields:
        before, after = _said(old, field.name), _said(new, field.name)
        if before == after:
            continue
        shown = isinstance(getattr(new, field.name), int | Duration)
        found.append(
            Change(field.name, _text(before), _text(after)) if shown else Change(field.name)
        )
    return tuple(found)


def _said(spec: ServiceSpec, name: str) -> object:
    """A field's value; None where a message is not there."""
    field = ServiceSpec.DESCRIPTOR.fields_by_name[name]
    if field.has_presence and not spec.HasField(name):
        return None
    value = getattr(spec, name)
    # Of maps: to compare what they hold.
    return dict(value) if name == "labels" else value


def _text(value: object) -> str:
    if isinstance(value, Duration):
        return f"{value.seconds + value.nanos / 1e9:g}s"
    return "" if value is None else str(value)
