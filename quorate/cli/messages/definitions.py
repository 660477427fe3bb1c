"""RabbitMQ's definitions (`rabbitmqctl export_definitions`) as requests of the Broker. No I/O.

    document --> plan: steps in order (virtual hosts, exchanges, queues, bindings, policies)
             '-> what is not supported, each by name and with the reason

https://www.rabbitmq.com/docs/definitions
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from quorate.client.messages import rpcs
from quorate.client.messages.values import headers, policies
from quorate.client.messages.values.declaring import EXCHANGE_KINDS
from quorate.client.transport.rpcs import Rpc, new_request_id
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m

MOST_BYTES: Final = 16 << 20
MOST_ENTRIES: Final = 200_000
_RESERVED: Final = "amq."
_KINDS: Final = {**EXCHANGE_KINDS, "x-consistent-hash": m.EXCHANGE_TYPE_CONSISTENT_HASH}
_USERS: Final = "users come from tokens and certificates: docs/security.md"
_PERMISSIONS: Final = "permissions come from roles and the patterns of tokens: docs/security.md"
_PARAMETERS: Final = "this parameter has no counterpart"


class Step(NamedTuple):
    """One declaration."""

    kind: str
    virtual_host: str
    name: str
    rpc: Rpc[Any, Any]
    request: Any


class Unsupported(NamedTuple):
    """What is left out, and why."""

    kind: str
    virtual_host: str
    name: str
    why: str


@dataclass(slots=True)
class Plan:
    """What an import does."""

    steps: list[Step] = field(default_factory=list)
    unsupported: list[Unsupported] = field(default_factory=list)


def plan_of(text: bytes, virtual_host: str = "") -> Plan:
    """The plan of a document.

    Args:
        virtual_host: of entries that name none, as in the document of one virtual host; "": "/".

    Raises:
        QuorateError: INVALID_ARGUMENT that names the list and the entry; nothing is imported then.
    """
    if len(text) > MOST_BYTES:
        raise invalid("FILE", f"has {len(text)} bytes; at most {MOST_BYTES}", limit=MOST_BYTES)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid("FILE", f"is not JSON: {error}") from None
    if not isinstance(document, dict) or not any(
        isinstance(document.get(kind), list) for kind in ("queues", "exchanges", "bindings")
    ):
        raise invalid("FILE", "has no queues, exchanges or bindings: these are no definitions")
    return _Planner(document, virtual_host or "/").plan()


class _Planner:
    def __init__(self, document: Mapping[str, Any], virtual_host: str) -> None:
        self._document = document
        self._host = virtual_host
        self._plan = Plan()
        # Kind, virtual host and name of what is not imported: what is bound to it is not, either.
        self._missing: set[tuple[str, str, str]] = set()
        self._left = MOST_ENTRIES

    def plan(self) -> Plan:
        kinds: tuple[tuple[str, Callable[[str, dict[str, Any]], None]], ...] = (
            ("vhosts", self._virtual_host),
            ("exchanges", self._exchange),
            ("queues", self._queue),
            ("bindings", self._binding),
            ("policies", self._policy),
            ("parameters", self._parameter),
            ("users", self._user),
            ("permissions", self._permission),
            ("topic_permissions", self._permission),
            ("global_parameters", self._global_parameter),
        )
        for kind, read in kinds:
            for place, entry in self._entries(kind):
                read(place, entry)
        return self._plan

    def _entries(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        entries = self._document.get(kind, [])
        if not isinstance(entries, list):
            raise invalid(kind, "is no list")
        self._left -= len(entries)
        if self._left < 0:
            raise invalid(
                kind, f"the file has more than {MOST_ENTRIES:,} entries", limit=MOST_ENTRIES
            )
        for number, entry in enumerate(entries):
            place = f"{kind}[{number}]"
            if not isinstance(entry, dict):
                raise invalid(place, "is no object")
            yield place, entry

    def _step(self, kind: str, host: str, name: str, rpc: Rpc[Any, Any], request: Any) -> None:
        self._plan.steps.append(Step(kind, host, name, rpc, request))

    def _leave(self, kind: str, host: str, name: str, why: str) -> None:
        self._plan.unsupported.append(Unsupported(kind, host, name, why))
        self._missing.add((kind, host, name))

    def _host_of(self, place: str, entry: dict[str, Any]) -> str:
        return _text(place, entry, "vhost", self._host)

    def _virtual_host(self, place: str, entry: dict[str, Any]) -> None:
        name = _text(place, entry, "name")
        if name != "/":
            request = pb.CreateVirtualHostRequest(name=name, request_id=new_request_id())
            self._step("virtual host", "", name, rpcs.CREATE_VIRTUAL_HOST, request)

    def _exchange(self, place: str, entry: dict[str, Any]) -> None:
        host, name = self._host_of(place, entry), _text(place, entry, "name")
        if not name or name.startswith(_RESERVED):
            # They are there.
            return
        kind = _text(place, entry, "type")
        if kind not in _KINDS:
            self._leave("exchange", host, name, f"there are no exchanges of type {kind!r}")
            return
        exchange = m.Exchange(
            virtual_host=host,
            name=name,
            type=_KINDS[kind],
            durable=_flag(place, entry, "durable", True),
            auto_delete=_flag(place, entry, "auto_delete", False),
            internal=_flag(place, entry, "internal", False),
            arguments=_arguments(place, entry),
        )
        request = pb.CreateExchangeRequest(exchange=exchange, request_id=new_request_id())
        self._step("exchange", host, name, rpcs.CREATE_EXCHANGE, request)

    def _queue(self, place: str, entry: dict[str, Any]) -> None:
        host, name = self._host_of(place, entry), _text(place, entry, "name")
        if name.startswith(_RESERVED):
            self._leave("queue", host, name, "names that begin with amq. are reserved")
            return
        spec = m.MessageQueueSpec(
            durable=_flag(place, entry, "durable", True),
            auto_delete=_flag(place, entry, "auto_delete", False),
            arguments=_arguments(place, entry),
        )
        queue = m.MessageQueue(virtual_host=host, name=name, spec=spec)
        request = pb.CreateMessageQueueRequest(message_queue=queue, request_id=new_request_id())
        self._step("queue", host, name, rpcs.CREATE_MESSAGE_QUEUE, request)

    def _binding(self, place: str, entry: dict[str, Any]) -> None:
        host, source = self._host_of(place, entry), _text(place, entry, "source")
        destination, key = _text(place, entry, "destination"), _text(place, entry, "routing_key")
        if not source:
            # Each queue is bound to the default exchange.
            return
        kind = _text(place, entry, "destination_type", "queue")
        name = f"{source} -> {destination}" + (f" ({key})" if key else "")
        if kind not in ("queue", "exchange"):
            self._leave("binding", host, name, f"its destination is a {kind!r}")
            return
        for end, one in (("exchange", source), (kind, destination)):
            if (end, host, one) in self._missing:
                self._leave("binding", host, name, f"the {end} {one!r} is not imported")
                return
        binding = m.Binding(
            virtual_host=host,
            source=source,
            message_queue=destination if kind == "queue" else None,
            exchange=destination if kind == "exchange" else None,
            routing_key=key,
            arguments=_arguments(place, entry),
        )
        request = pb.CreateBindingRequest(binding=binding, request_id=new_request_id())
        self._step("binding", host, name, rpcs.CREATE_BINDING, request)

    def _policy(self, place: str, entry: dict[str, Any], *, operator: bool = False) -> None:
        host, name = self._host_of(place, entry), _text(place, entry, "name")
        kind = "operator policy" if operator else "policy"
        definition = entry.get("definition")
        if not isinstance(definition, dict):
            raise invalid(f"{place}.definition", "is no object")
        known = {key: value for key, value in definition.items() if key in policies.KEYS}
        others = sorted(definition.keys() - known.keys())
        if others:
            why = f"the keys {', '.join(others)} have no counterpart"
            rest = "; the others are set" if known else ""
            self._leave(kind, host, name, why + rest)
        if not known:
            return
        priority = entry.get("priority", 0)
        if isinstance(priority, bool) or not isinstance(priority, int):
            raise invalid(f"{place}.priority", "is no whole number")
        request = _placed(
            place,
            lambda: policies.set_policy(
                *(name, _text(place, entry, "pattern"), known),
                priority=priority,
                apply_to=_text(place, entry, "apply-to", "all"),
                operator=operator,
                virtual_host=host,
            ),
        )
        self._step(kind, host, name, rpcs.SET_MESSAGE_POLICY, request)

    def _parameter(self, place: str, entry: dict[str, Any]) -> None:
        host, name = self._host_of(place, entry), _text(place, entry, "name")
        component = _text(place, entry, "component")
        value = entry.get("value")
        if component == "operator_policy" and isinstance(value, dict):
            self._policy(place, {**value, "name": name, "vhost": host}, operator=True)
        else:
            self._leave("parameter", host, f"{component}/{name}", _PARAMETERS)

    def _user(self, place: str, entry: dict[str, Any]) -> None:
        self._leave("user", "", _text(place, entry, "name"), _USERS)

    def _permission(self, place: str, entry: dict[str, Any]) -> None:
        host, user = self._host_of(place, entry), _text(place, entry, "user")
        self._leave("permission", host, user, _PERMISSIONS)

    def _global_parameter(self, place: str, entry: dict[str, Any]) -> None:
        name = _text(place, entry, "name")
        # Set by RabbitMQ itself: the identity of its cluster.
        if name not in ("cluster_name", "internal_cluster_id", "cluster_tags"):
            self._leave("parameter", "", name, _PARAMETERS)


def _text(place: str, entry: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = entry.get(name, default)
    if not isinstance(value, str):
        raise invalid(f"{place}.{name}", "is required, and a text")
    return value


def _flag(place: str, entry: Mapping[str, Any], name: str, default: bool) -> bool:
    value = entry.get(name, default)
    if not isinstance(value, bool):
        raise invalid(f"{place}.{name}", "is neither true nor false")
    return value


def _arguments(place: str, entry: Mapping[str, Any]) -> dict[str, m.HeaderValue]:
    arguments = entry.get("arguments", {})
    # An empty table is an empty list in documents of old versions.
    if arguments == []:
        return {}
    made: dict[str, m.HeaderValue] = _placed(
        place, lambda: headers.table(f"{place}.arguments", arguments)
    )
    return made


def _placed(place: str, make: Callable[[], Any]) -> Any:
    """What is made of an entry; its errors say of which one."""
    try:
        return make()
    except QuorateError as error:
        if error.field.startswith(place):
            raise
        raise invalid(f"{place}.{error.field}", error.message) from None
