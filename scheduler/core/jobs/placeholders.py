"""Placeholders in a message template: what a task takes of the message that it is made of.

    {message.routing_key}          a property; see `PROPERTIES`
    {message.header.NAME}          a header that is a text, a number, a boolean or an instant
    {message.id|none}              `none` if the message has no value
    {{message.id}}                 no placeholder: the text {message.id}

A value takes the place of its placeholder as text, once: a value that looks like a placeholder is
not looked at again, no part is evaluated, and it never makes two arguments of one. The program, the
working directory, the function and all names stay as the template has them, and a placeholder
cannot stand in the text that a shell runs (`sh -c`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.runtime.errors import invalid
from quorate.v1.message_pb2 import HeaderValue, MessageProperties
from quorate.v1.task_pb2 import TaskSpec

# Placeholders of a template, and UTF-8 bytes of what one is replaced by. Together they bound what a
# template grows by: 256 KiB.
MOST_PLACEHOLDERS: Final = 64
MOST_VALUE_BYTES: Final = 4 << 10
# Characters of fields that may hold placeholders: `scheduler.api.specs` has the same limits.
MOST_CHARACTERS: Final = {
    "name": 128,
    "labels": 128,
    "affinity_key": 256,
    "limit_key": 256,
    "fairness_key": 256,
    "ordering_key": 256,
    "unique.key": 256,
}
# Names of properties, and their fields of `MessageProperties`. Exchange and routing key are there
# always, and may be empty.
PROPERTIES: Final = {
    "id": "message_id",
    "correlation_id": "correlation_id",
    "reply_to": "reply_to",
    "content_type": "content_type",
    "type": "type",
    "app_id": "app_id",
    "user_id": "user_id",
}
_ALWAYS: Final = ("exchange", "routing_key")
_HEADER: Final = "header."
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9_./:-]{1,128}")
_MARK: Final = "{message."
_MARK_BYTES: Final = _MARK.encode()
_PLACEHOLDER: Final = re.compile(
    r"(?P<literal>\{\{message\.[^{}]*\}\})|\{message\.(?P<name>[^{}|]*)(?:\|(?P<other>[^{}]*))?\}"
)
_KEYS: Final = ("affinity_key", "limit_key", "fairness_key", "ordering_key")
_SHELLS: Final = ("sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh")
# Digits behind the point of a decimal of AMQP: one byte.
_MOST_SCALE: Final = 255

_Change: TypeAlias = Callable[[str, str], str]
"""Field and text; answers the new text."""


def has_any(template: bytes) -> bool:
    """Whether a serialized template may hold placeholders. O(its size)."""
    return _MARK_BYTES in template


def check(template: TaskSpec) -> None:
    """Raise INVALID_ARGUMENT, which names the field, for placeholders that cannot be replaced."""
    found = 0

    def look(field: str, text: str) -> str:
        nonlocal found
        found += _check_text(f"template.{field}", text)
        return ""

    rest = TaskSpec()
    rest.CopyFrom(template)
    if template.HasField("command"):
        _check_shells(template)
    if template.HasField("python"):
        _check_names(template.python.json)
    _change(rest, look)
    if has_any(rest.SerializeToString()):
        raise invalid(
            "template",
            "a placeholder can only stand in arguments of a program or function, values of "
            "variables and labels, the name, and keys",
            reason="PLACEHOLDER_NOT_ALLOWED",
        )
    if found > MOST_PLACEHOLDERS:
        raise invalid(
            "template",
            f"has {found} placeholders; use at most {MOST_PLACEHOLDERS}",
            reason="TOO_MANY_PLACEHOLDERS",
            limit=MOST_PLACEHOLDERS,
            value=found,
        )


def resolved(template: bytes, payload: bytes) -> bytes:
    """The template with the values of a message in place of its placeholders.

    Args:
        payload: the serialized message.

    Raises:
        QuorateError: INVALID_ARGUMENT. A value is missing (`PLACEHOLDER_WITHOUT_VALUE`), is longer
            than 4 KiB or makes a field too long (`PLACEHOLDER_VALUE_TOO_LONG`), or has a NUL
            character (`PLACEHOLDER_VALUE_INVALID`).
    """
    spec = TaskSpec.FromString(template)
    values = _Values(payload)

    def fill(field: str, text: str) -> str:
        is_json = field == "python.json"
        made = _PLACEHOLDER.sub(lambda match: _replacement(match, values, is_json=is_json), text)
        most = MOST_CHARACTERS.get(field.partition("[")[0])
        if most is not None and len(made) > most:
            raise invalid(
                "message",
                f"makes {field} of the task {len(made)} characters long; {most} are allowed",
                reason="PLACEHOLDER_VALUE_TOO_LONG",
                limit=most,
                value=len(made),
            )
        return made

    _change(spec, fill)
    if spec.HasField("unique") and not spec.unique.key:
        raise _without_value("message", "the unique key of its task would be empty")
    return spec.SerializeToString(deterministic=True)


class _Values:
    """What a message has in place of placeholders. Properties are read on the first use."""

    def __init__(self, payload: bytes) -> None:
        self._envelope = MessageEnvelope.FromString(payload)
        self._properties = MessageProperties.FromString(self._envelope.properties)

    def get(self, name: str) -> str | None:
        """The value as text; None: the message has none that is a text."""
        if name in _ALWAYS:
            return str(getattr(self._envelope, name))
        if name.startswith(_HEADER):
            header = name.removeprefix(_HEADER)
            headers = self._properties.headers
            # A map of messages makes an entry of whatever is read.
            return _text_of(headers[header]) if header in headers else None
        return getattr(self._properties, PROPERTIES[name]) or None if name in PROPERTIES else None


def _text_of(header: HeaderValue) -> str | None:
    match header.WhichOneof("value"):
        case "text":
            return header.text
        case "integer":
            return str(header.integer)
        case "boolean":
            return "true" if header.boolean else "false"
        case "number":
            return repr(header.number)
        case "small_number":
            return repr(header.small_number)
        case "timestamp":
            return str(header.timestamp.ToJsonString())
        case "decimal" if header.decimal.scale <= _MOST_SCALE:
            return _decimal(header.decimal.value, header.decimal.scale)
        case _:
            return None


def _decimal(value: int, scale: int) -> str:
    digits = str(abs(value)).rjust(scale + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits)


def _replacement(match: re.Match[str], values: _Values, *, is_json: bool) -> str:
    if match["literal"] is not None:
        return match["literal"][1:-1]
    name, other = match["name"], match["other"]
    value = values.get(name)
    field = f"message.{name}"
    if value is None:
        if other is None:
            raise _without_value(field, "the message has no value for the queue's template")
        # Of JSON arguments it is escaped already.
        return other
    size = len(value.encode())
    if size > MOST_VALUE_BYTES:
        raise invalid(
            field,
            f"{size} bytes; a placeholder takes at most {MOST_VALUE_BYTES}",
            reason="PLACEHOLDER_VALUE_TOO_LONG",
            limit=MOST_VALUE_BYTES,
            value=size,
        )
    if "\0" in value:
        raise invalid(field, "must not hold a NUL character", reason="PLACEHOLDER_VALUE_INVALID")
    return json.dumps(value, ensure_ascii=False)[1:-1] if is_json else value


def _without_value(field: str, why: str) -> Exception:
    return invalid(field, why, reason="PLACEHOLDER_WITHOUT_VALUE")


def _change(spec: TaskSpec, change: _Change) -> None:
    """Replace each text that may hold placeholders."""
    if spec.HasField("command"):
        argv = spec.command.argv
        for index in range(1, len(argv)):
            if _MARK in argv[index]:
                argv[index] = change(f"command.argv[{index}]", argv[index])
        for name in _marked(spec.command.env):
            spec.command.env[name] = change(f"command.env[{name}]", spec.command.env[name])
    if spec.HasField("python") and _MARK in spec.python.json:
        spec.python.json = change("python.json", spec.python.json)
    for name in _marked(spec.labels):
        spec.labels[name] = change(f"labels[{name}]", spec.labels[name])
    for field in ("name", *_KEYS):
        if _MARK in getattr(spec, field):
            setattr(spec, field, change(field, getattr(spec, field)))
    if _MARK in spec.unique.key:
        spec.unique.key = change("unique.key", spec.unique.key)


def _marked(table: Any) -> list[str]:
    """Names of entries that may hold placeholders, in an order that is the same everywhere."""
    return sorted(name for name in table if _MARK in table[name])


def _check_text(field: str, text: str) -> int:
    """How many placeholders a text has. Raises INVALID_ARGUMENT."""
    found = 0
    for match in _PLACEHOLDER.finditer(text):
        if match["literal"] is None:
            _check_name(field, match["name"])
            found += 1
    if _MARK in _PLACEHOLDER.sub("", text):
        raise invalid(
            field,
            'has a placeholder without its end; write "{message.id}", and "{{message.id}}" for '
            "these characters themselves",
            reason="UNKNOWN_PLACEHOLDER",
        )
    return found


def _check_name(field: str, name: str) -> None:
    if name in _ALWAYS or name in PROPERTIES:
        return
    if name.startswith(_HEADER) and _HEADER_NAME.fullmatch(name.removeprefix(_HEADER)):
        return
    known = ", ".join((*_ALWAYS, *PROPERTIES, "header.NAME"))
    raise invalid(
        field,
        f"{{message.{name[:80]}}} is no placeholder; there are {known}, where NAME has 1 to 128 "
        "letters, digits and _ . / : -",
        reason="UNKNOWN_PLACEHOLDER",
    )


def _check_shells(template: TaskSpec) -> None:
    """A shell would run what a message says."""
    is_shell = False
    argv = template.command.argv
    for index, word in enumerate(argv):
        before = argv[index - 1] if index else ""
        if is_shell and _is_code_option(before) and _MARK in word:
            raise invalid(
                f"template.command.argv[{index}]",
                "a shell runs this text, so it cannot hold a placeholder; write sh -c 'echo "
                '"$1"\' sh {message.id}',
                reason="PLACEHOLDER_NOT_ALLOWED",
            )
        is_shell = is_shell or word.rpartition("/")[2] in _SHELLS


def _is_code_option(word: str) -> bool:
    return word.startswith("-") and not word.startswith("--") and "c" in word


def _check_names(text: str) -> None:
    """Names of a function's arguments are the template's."""
    if _MARK not in text:
        return
    # Valid JSON: the spec was checked before.
    for name in _names(json.loads(text)):
        if _MARK in name:
            raise invalid(
                "template.python.json",
                f"the name {name[:80]!r} cannot hold a placeholder; values can",
                reason="PLACEHOLDER_NOT_ALLOWED",
            )


def _names(value: Any) -> Iterator[str]:
    """Names of all objects of a JSON value."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield from one
            left += one.values()
        elif isinstance(one, list):
            left += one
