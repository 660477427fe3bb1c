"""Declarations, names, virtual hosts, bindings and routing keys.

Each test names the page (below https://www.rabbitmq.com/docs/) or the file of rabbitmq-server that
says so.
"""

from __future__ import annotations

import pytest

from scheduler.core.broker.routing.rows import ExchangeType
from tests.support.routing import HOST, Routes, exchange, int64, queue, refused, string, strings


def test_every_queue_is_bound_to_the_default_exchange_by_its_name() -> None:
    """exchanges#default-exchange"""
    routes = Routes()
    routes.router.add_queue(HOST, "mails")
    assert routes.queues("", "mails") == ["mails"]
    assert routes.queues("", "other") == []
    assert routes.queues("", b"\xff") == []
    routes.router.remove_queue(HOST, "mails")
    assert routes.queues("", "mails") == []


def test_a_direct_exchange_compares_keys() -> None:
    """exchanges#direct"""
    routes = Routes()
    routes.bind("amq.direct", "both", "red")
    routes.bind("amq.direct", "both", "blue")
    routes.bind("amq.direct", "red", "red")
    assert routes.queues("amq.direct", "red") == ["both", "red"]
    assert routes.queues("amq.direct", "blue") == ["both"]
    assert routes.queues("amq.direct", "re") == []
    routes.unbind("amq.direct", "both", "red")
    assert routes.queues("amq.direct", "red") == ["red"]


def test_a_fanout_exchange_ignores_keys() -> None:
    """exchanges#fanout"""
    routes = Routes()
    routes.bind("amq.fanout", "b", "x")
    routes.bind("amq.fanout", "a", "y")
    assert routes.queues("amq.fanout", "z") == ["a", "b"]
    routes.unbind("amq.fanout", "b", "x")
    assert routes.queues("amq.fanout") == ["a"]


def test_the_predeclared_exchanges_are_in_each_virtual_host() -> None:
    """exchanges#default-exchange and rabbit_vhost.erl; broker.md, section 5"""
    routes = Routes()
    types = {
        name: state.row.type for name, state in routes.router.virtual_hosts[HOST].exchanges.items()
    }
    assert types == {
        "": ExchangeType.DIRECT,
        "amq.direct": ExchangeType.DIRECT,
        "amq.fanout": ExchangeType.FANOUT,
        "amq.headers": ExchangeType.HEADERS,
        "amq.match": ExchangeType.HEADERS,
        "amq.topic": ExchangeType.TOPIC,
    }
    # As it is, it may be declared; other names with that prefix may not.
    assert routes.declare("amq.topic", "topic") is None
    assert refused("RESERVED_NAME", routes.declare, "amq.mine").field == "name"
    refused("RESERVED_EXCHANGE", routes.router.delete_exchange, HOST, "amq.topic")


def test_nobody_changes_the_default_exchange() -> None:
    """rabbit_channel.erl, check_not_default_exchange"""
    routes = Routes()
    refused("DEFAULT_EXCHANGE", routes.declare, "")
    refused("DEFAULT_EXCHANGE", routes.bind, "", "q", "k")
    refused("DEFAULT_EXCHANGE", routes.bind, "amq.direct", exchange(""), "k")
    refused("DEFAULT_EXCHANGE", routes.unbind, "", "q", "q")
    refused("DEFAULT_EXCHANGE", routes.router.delete_exchange, HOST, "")
    refused("DEFAULT_EXCHANGE", routes.router.apply_policy, HOST, "", "amq.fanout")


def test_a_second_declaration_changes_nothing() -> None:
    """exchanges: "declaration is idempotent"; rabbit_exchange.erl, assert_equivalence"""
    routes = Routes()
    made = routes.declare("logs", "topic", alternate="rest")
    assert made is not None
    assert made.name == "logs"
    routes.bind("logs", "q", "#")
    assert routes.declare("logs", "topic", alternate="rest") is None
    # Of the arguments only the alternate exchange is compared.
    other = (("x-other", int64(1)),)
    assert routes.declare("logs", "topic", arguments=other, alternate="rest") is None
    assert routes.queues("logs", "k") == ["q"]


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("type", {"type_": "fanout"}),
        ("durable", {"durable": False}),
        ("auto_delete", {"auto_delete": True}),
        ("internal", {"internal": True}),
        ("arguments.alternate-exchange", {"alternate": "other"}),
    ],
)
def test_a_declaration_that_differs_names_the_field(field: str, options: dict) -> None:
    """rabbit_exchange.erl, assert_equivalence: 406 PRECONDITION_FAILED"""
    routes = Routes()
    routes.declare("logs")
    error = refused("EXCHANGE_DIFFERS", routes.declare, "logs", **options)
    assert error.metadata["field"] == field
    assert field in error.message


def test_names_have_1_to_255_bytes() -> None:
    """amqp-0-9-1-reference: exchange-name is a short string"""
    routes = Routes()
    assert routes.declare("é" * 127 + "e") is not None
    assert refused("INVALID_FIELD", routes.declare, "é" * 128).metadata["limit"] == "255"
    assert refused("INVALID_FIELD", routes.router.add_queue, HOST, "").field == "queue"
    assert refused("INVALID_FIELD", routes.router.add_queue, HOST, "\ud800").field == "queue"
    routes.bind("amq.direct", "q", "k" * 255)
    assert routes.queues("amq.direct", "k" * 255) == ["q"]
    assert (
        refused("INVALID_FIELD", routes.bind, "amq.direct", "q", "k" * 256).field == "binding_key"
    )
    error = refused("INVALID_FIELD", routes.publish, "amq.direct", "k" * 256)
    assert (error.field, error.metadata["value"]) == ("routing_key", "256")


def test_what_does_not_exist_is_named() -> None:
    """amqp-0-9-1-reference: 404 NOT_FOUND"""
    routes = Routes()
    refused("EXCHANGE_NOT_FOUND", routes.publish, "none")
    refused("EXCHANGE_NOT_FOUND", routes.bind, "none", "q")
    refused("EXCHANGE_NOT_FOUND", routes.bind, "amq.direct", exchange("none"))
    refused("MESSAGE_QUEUE_NOT_FOUND", routes.bind, "amq.direct", queue("none"))
    refused("EXCHANGE_NOT_FOUND", routes.router.delete_exchange, HOST, "none")
    refused("VIRTUAL_HOST_NOT_FOUND", routes.router.add_queue, "none", "q")
    refused("VIRTUAL_HOST_NOT_FOUND", routes.router.delete_virtual_host, "none")


def test_virtual_hosts_are_name_spaces() -> None:
    """vhosts"""
    routes = Routes()
    assert routes.router.create_virtual_host("other")
    assert not routes.router.create_virtual_host("other")
    routes.bind("amq.fanout", "q")
    routes.router.add_queue("other", "theirs")
    routes.router.bind("other", "amq.fanout", queue("theirs"))
    assert routes.queues("amq.fanout") == ["q"]
    assert routes.queues("", "theirs") == []
    routes.router.delete_virtual_host("other")
    refused("VIRTUAL_HOST_NOT_FOUND", routes.router.delete_virtual_host, "other")


def test_bindings_differ_by_key_and_arguments() -> None:
    """rabbit_binding.erl: a binding is source, destination, key and sorted arguments"""
    routes = Routes()
    one, two = ("a", int64(1)), ("b", string("x"))
    first = routes.bind("amq.direct", "q", "k", (one, two))
    assert first is not None
    assert routes.bind("amq.direct", "q", "k", (two, one)) is None
    second = routes.bind("amq.direct", "q", "k")
    assert second is not None
    assert second.ordinal > first.ordinal
    assert routes.unbind("amq.direct", "q", "k", (two, one)).bindings == (first,)
    assert routes.queues("amq.direct", "k") == ["q"]
    assert routes.unbind("amq.direct", "q", "k").bindings == (second,)
    assert routes.queues("amq.direct", "k") == []


def test_to_unbind_what_is_not_bound_is_no_error() -> None:
    """rabbit_db_binding.erl, delete"""
    routes = Routes()
    assert routes.unbind("amq.direct", "none", "k") == ((), ())
    assert routes.unbind("none", "none", "k") == ((), ())


def test_cc_and_bcc_are_further_routing_keys() -> None:
    """sender-selected"""
    routes = Routes()
    for name in ("a", "b", "c"):
        routes.bind("amq.direct", name, name)
    headers = {"CC": strings("b", "a"), "BCC": strings("c")}
    assert routes.queues("amq.direct", "a", headers) == ["a", "b", "c"]
    assert routes.queues("", "none", headers) == ["a", "b", "c"]
    routes.bind("amq.topic", "t", "c.*")
    assert routes.queues("amq.topic", "x", {"BCC": strings("c.d")}) == ["t"]
    # "these keys are case-sensitive"
    assert routes.queues("amq.direct", "a", {"cc": strings("b")}) == ["a"]


def test_cc_is_an_array_and_what_is_no_string_in_it_is_ignored() -> None:
    """rabbit_basic.erl, header_routes: 406 "unacceptable_type_in_header" """
    routes = Routes()
    routes.bind("amq.direct", "b", "b")
    array = strings("b")
    mixed = {"CC": type(array)(array.type, items=(int64(1), *array.items))}
    assert routes.queues("amq.direct", "a", mixed) == ["b"]
    error = refused("INVALID_FIELD", routes.publish, "amq.direct", "a", {"CC": string("b")})
    assert error.field == "headers.CC"
    error = refused("INVALID_FIELD", routes.publish, "amq.direct", "a", {"BCC": strings("k" * 256)})
    assert error.field == "headers.BCC"
    many = {"CC": strings(*("k" * 200)), "BCC": strings(*("k" * 57))}
    assert refused("TOO_MANY_ROUTING_KEYS", routes.publish, "amq.direct", "a", many)
    many["BCC"] = strings(*("b" * 56))
    assert routes.queues("amq.direct", "a", many) == ["b"]


def test_a_refused_call_changes_nothing() -> None:
    routes = Routes()
    routes.declare("hash", "x-consistent-hash")
    refused("INVALID_FIELD", routes.bind, "hash", "q", "no number")
    refused("INVALID_FIELD", routes.bind, "amq.headers", "q", "", (("x-match", string("none")),))
    assert not routes.router.virtual_hosts[HOST].bindings
    assert routes.queues("hash", "k") == []
    assert routes.queues("amq.headers") == []
