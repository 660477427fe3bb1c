"""What a task that was made from a message gets of it: `quorate.v1.TaskSpec.message`.

A program gets the body on standard input, a function as its first argument; both get the rest in
their environment. Reading raises ValueError alone.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any, Final, Literal

from quorate.v1 import message_pb2, task_pb2

PREFIX: Final = "QUORATE_MESSAGE_"
HEADERS: Final = f"{PREFIX}HEADERS"
# Bytes of all headers as JSON, beyond which they are left out: a program cannot be started with a
# variable of 128 KiB.
MOST_HEADERS: Final = 96 << 10
_TEXTS: Final = (
    ("ID", "message_id"),
    ("CORRELATION_ID", "correlation_id"),
    ("CONTENT_TYPE", "content_type"),
    ("TYPE", "type"),
    ("REPLY_TO", "reply_to"),
)


def environment(message: message_pb2.Message) -> dict[str, str]:
    """The variables of a task: exchange and routing key always, others where the message has
    them."""
    properties = message.properties
    found = {"EXCHANGE": message.exchange, "ROUTING_KEY": message.routing_key}
    found.update({name: text for name, field in _TEXTS if (text := getattr(properties, field))})
    variables = {PREFIX + name: text.replace("\0", "") for name, text in found.items()}
    if properties.headers:
        names = sorted(properties.headers)
        text = json.dumps(
            {name: _value(properties.headers[name]) for name in names}, ensure_ascii=False
        )
        if len(text.encode(errors="replace")) <= MOST_HEADERS:
            variables[HEADERS] = text
    return variables


def arguments(
    message: message_pb2.Message, python: task_pb2.PythonWork
) -> tuple[Literal["json", "pickle"], str | bytes]:
    """The arguments of a function: the body, then those of its template.

    The body is the value of a JSON body, the text of one that is UTF-8, else bytes: those can only
    be pickled, and so is the result then.

    Raises:
        ValueError: the body is said to be JSON, and is not; or the template's arguments are none.
    """
    args, kwargs = _of_template(python)
    body = _body(message)
    if isinstance(body, bytes):
        return "pickle", pickle.dumps(((body, *args), kwargs))
    return "json", json.dumps({"args": [body, *args], "kwargs": kwargs}, ensure_ascii=False)


def _body(message: message_pb2.Message) -> Any:
    kind = message.properties.content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return json.loads(message.body)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the body of the message is no JSON: {error}") from None
    try:
        return message.body.decode()
    except UnicodeDecodeError:
        return message.body


def _of_template(python: task_pb2.PythonWork) -> tuple[list[Any], Mapping[str, Any]]:
    if not python.json:
        return [], {}
    said = json.loads(python.json)
    if isinstance(said, list):
        return said, {}
    return said.get("args", []), said.get("kwargs", {})


def _value(header: message_pb2.HeaderValue) -> Any:
    """A header as JSON has it: bytes as text, an instant in RFC 3339, a decimal as a number."""
    kind = header.WhichOneof("value")
    match kind:
        case "binary":
            return header.binary.decode(errors="replace")
        case "timestamp":
            return header.timestamp.ToJsonString()
        case "list":
            return [_value(one) for one in header.list.values]
        case "table":
            entries = header.table.entries
            return {name: _value(entries[name]) for name in sorted(entries)}
        case "decimal":
            return header.decimal.value / 10**header.decimal.scale
        case "void" | None:
            return None
        case _:
            return getattr(header, kind)
