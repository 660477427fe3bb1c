"""What an `update_mask` means (google.aip.dev/134).

What it names is taken over as it is, cleared where the request leaves it unset; what it does not
name stays. An empty one names what the request has set, each field by itself. "*" means all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from google.protobuf.message import Message

from quorate.runtime.errors import invalid
from scheduler.api import validate

MAX_PATHS: Final = 100


def merged(
    old: Message, new: Message, paths: Sequence[str], settable: Collection[str]
) -> Any:  # Any: the type of `old`
    """`old` as the fields of `new` that `paths` name make it.

    Args:
        settable: the fields that a caller may change; only these may be named, or fields of them.

    Raises:
        QuorateError: INVALID_ARGUMENT for another path.
    """
    result = type(old)()
    result.CopyFrom(old)
    validate.at_most("update_mask", len(paths), MAX_PATHS, "paths")
    if not paths:
        given = type(old)()
        given.CopyFrom(new)
        for field, _ in new.ListFields():
            if field.name not in settable:
                given.ClearField(field.name)
        take_populated(result, given)
    for path in paths:
        if path == "*":
            for name in settable:
                take_over(result, new, [name])
            continue
        names = path.split(".")
        if names[0] not in settable or not is_path(old.DESCRIPTOR, names):
            raise invalid(
                "update_mask",
                f"{path[:80]!r} is not a setting; there are {', '.join(settable)}",
                reason="INVALID_FIELD_MASK",
                value=path[:80],
            )
        take_over(result, new, names)
    return result


def names_field(new: Message, paths: Sequence[str], field: str) -> bool:
    """Whether an update sets or clears a field, or a part of it."""
    if not paths:
        return new.HasField(field)
    return any(path == "*" or path.partition(".")[0] == field for path in paths)


def is_path(descriptor: Any, names: Sequence[str]) -> bool:
    """Whether `names` lead from a message to a field of it."""
    for place, name in enumerate(names):
        if descriptor is None or name not in descriptor.fields_by_name:
            return False
        field = descriptor.fields_by_name[name]
        if field.is_repeated and place < len(names) - 1:
            return False
        descriptor = field.message_type
    return True


def take_populated(target: Message, source: Message) -> None:
    """What is set in `source`, each field by itself; lists, maps and times as a whole."""
    for field, value in source.ListFields():
        kind = field.message_type
        if kind is None or field.is_repeated or kind.full_name.startswith("google.protobuf."):
            take_over(target, source, [field.name])
        else:
            within = getattr(target, field.name)
            within.SetInParent()
            take_populated(within, value)


def take_over(target: Message, source: Message, names: Sequence[str]) -> None:
    """Make one field as it is in `source`, set or not."""
    name, *rest = names
    if rest:
        if source.HasField(name) or target.HasField(name):
            take_over(getattr(target, name), getattr(source, name), rest)
        return
    target.ClearField(name)
    only = type(source)()
    only.CopyFrom(source)
    for field, _ in source.ListFields():
        if field.name != name:
            only.ClearField(field.name)
    target.MergeFrom(only)
