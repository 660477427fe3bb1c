"""Policies of message queues, with the keys and units of RabbitMQ's definitions. No I/O.

https://www.rabbitmq.com/docs/policies
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from quorate.client.transport.rpcs import new_request_id
from quorate.client.work.texts import checked_text
from quorate.runtime.errors import invalid
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m

_OVERFLOWS: Final = {
    "drop-head": m.OVERFLOW_DROP_HEAD,
    "reject-publish": m.OVERFLOW_REJECT_PUBLISH,
    "reject-publish-dlx": m.OVERFLOW_REJECT_PUBLISH_DEAD_LETTER,
}
_AGE: Final = re.compile(r"([0-9]{1,12})([YMDhms])")
_SECONDS: Final = {"Y": 31_536_000, "M": 2_592_000, "D": 86_400, "h": 3_600, "m": 60, "s": 1}
_MOST: Final = (1 << 63) - 1
_MOST_MILLIS: Final = 10**13


def _integer(key: str, value: Any, least: int = 0, most: int = _MOST) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise invalid(f"definition.{key}", f"is {value!r}; use a whole number, {least} or more")
    return value


def _milliseconds(key: str, value: Any) -> dict[str, int]:
    millis = _integer(key, value, 0, _MOST_MILLIS)
    return {"seconds": millis // 1_000, "nanos": millis % 1_000 * 1_000_000}


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise invalid(f"definition.{key}", f"is {value!r}; use a text")
    return checked_text(f"definition.{key}", value)


def _overflow(key: str, value: Any) -> Any:
    if value not in _OVERFLOWS:
        raise invalid(f"definition.{key}", f"is {value!r}; use one of {', '.join(_OVERFLOWS)}")
    return _OVERFLOWS[value]


def _delivery_limit(key: str, value: Any) -> int:
    """-1 is no limit."""
    return max(0, _integer(key, value, -1, (1 << 32) - 1))


def _age(key: str, value: Any) -> dict[str, int]:
    found = _AGE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise invalid(f"definition.{key}", f"is {value!r}; use an age such as 7D or 12h")
    return {"seconds": min(int(found[1]) * _SECONDS[found[2]], 10**11)}


# By key: the field that it sets.
KEYS: Final[dict[str, tuple[str, Callable[[str, Any], Any]]]] = {
    "message-ttl": ("message_ttl", _milliseconds),
    "expires": ("expires", _milliseconds),
    "max-length": ("max_length", _integer),
    "max-length-bytes": ("max_length_bytes", _integer),
    "overflow": ("overflow", _overflow),
    "dead-letter-exchange": ("dead_letter_exchange", _text),
    "dead-letter-routing-key": ("dead_letter_routing_key", _text),
    "delivery-limit": ("delivery_limit", _delivery_limit),
    "max-age": ("max_age", _age),
    "alternate-exchange": ("alternate_exchange", _text),
}


def set_policy(
    name: str,
    pattern: str,
    definition: Mapping[str, Any],
    *,
    priority: int,
    apply_to: str,
    operator: bool,
    virtual_host: str,
) -> pb.SetMessagePolicyRequest:
    """Raises QuorateError: INVALID_ARGUMENT that names the key."""
    fields: dict[str, Any] = {}
    for key, value in definition.items():
        if key not in KEYS:
            raise invalid(f"definition.{key}", f"is unknown; use some of {', '.join(KEYS)}")
        field, read = KEYS[key]
        fields[field] = read(key, value)
    if not -(1 << 31) <= priority < 1 << 31:
        raise invalid("priority", f"is {priority}; use -2^31 to 2^31 - 1")
    policy = m.MessagePolicy(
        virtual_host=checked_text("virtual_host", virtual_host),
        name=checked_text("name", name),
        pattern=checked_text("pattern", pattern),
        apply_to=checked_text("apply_to", apply_to),
        priority=priority,
        definition=m.PolicyDefinition(**fields),
        operator=operator,
    )
    return pb.SetMessagePolicyRequest(policy=policy, request_id=new_request_id())


def definition_of(policy: m.MessagePolicy) -> dict[str, Any]:
    """What a policy sets, with RabbitMQ's keys and units."""
    found: dict[str, Any] = {}
    definition = policy.definition
    for key, (field, read) in KEYS.items():
        if field == "overflow":
            if definition.overflow:
                names = {number: name for name, number in _OVERFLOWS.items()}
                found[key] = names[definition.overflow]
        elif definition.HasField(field):
            value = getattr(definition, field)
            if read is _milliseconds:
                found[key] = value.ToMilliseconds()
            elif read is _age:
                found[key] = f"{value.ToSeconds()}s"
            else:
                found[key] = value
    if found.get("delivery-limit") == 0:
        found["delivery-limit"] = -1
    return found


def list_policies(virtual_host: str) -> pb.ListMessagePoliciesRequest:
    return pb.ListMessagePoliciesRequest(virtual_host=checked_text("virtual_host", virtual_host))


def delete_policy(name: str, operator: bool, virtual_host: str) -> pb.DeleteMessagePolicyRequest:
    return pb.DeleteMessagePolicyRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        name=checked_text("name", name),
        operator=operator,
        request_id=new_request_id(),
    )
