"""What a record holds that this version does not know, so that rewriting it loses nothing.

During an upgrade a scheduler reads records of the next minor version, and rewrites them when it
leads. Rows are made of the fields that it knows; the others go with the row as bytes (`kept`) and
are put back when the record is written: a later leader of the newer version finds what it wrote.
"""

from __future__ import annotations

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet


def unknown_fields(record: Message) -> bytes:
    """The fields of `record` itself (not of what is in it) that this version does not know.

    Serialized; empty as a rule, and then found out in 0.1 us. `MergeFromString` puts them back.
    """
    if not len(UnknownFieldSet(record)):
        return b""
    return _without_known(record, frozenset())


def unknown_fields_with_enums(record: Message) -> bytes:
    """As `kept`, and the enums whose value this version does not know.

    Whoever calls it reads such an enum as its default; put back, the value on record stays.
    """
    strange = frozenset(
        field.name
        for field, value in record.ListFields()
        if field.enum_type is not None
        and not field.is_repeated
        and field.enum_type.values_by_number.get(value) is None
    )
    return _without_known(record, strange) if strange else unknown_fields(record)


def _without_known(record: Message, but: frozenset[str]) -> bytes:
    rest = type(record)()
    rest.CopyFrom(record)
    for field, _ in record.ListFields():
        if field.name not in but:
            rest.ClearField(field.name)
    return rest.SerializeToString()
