"""Exchanges of each simple type, bindings between exchanges, alternates and deletion.

Each test names the page (below https://www.rabbitmq.com/docs/) or the file of rabbitmq-server that
says so.
"""

from __future__ import annotations

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker.routing.rows import ExchangeType
from tests.support.routing import HOST, Routes, exchange, int64, queue, string, strings


def refused(reason: str, call, *arguments, **options) -> QuorateError:
    with pytest.raises(QuorateError) as caught:
        call(*arguments, **options)
    assert caught.value.reason == reason
    return caught.value


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


def test_exchanges_bound_to_exchanges_route_on() -> None:
    """e2e: "binding keys and exchange types operate as normal" """
    routes = Routes()
    routes.declare("in", "topic")
    routes.declare("out", "direct")
    routes.bind("in", exchange("out"), "eu.#")
    routes.bind("in", "all", "#")
    routes.bind("out", "paris", "eu.paris")
    assert routes.queues("in", "eu.paris") == ["all", "paris"]
    assert routes.queues("in", "eu.rome") == ["all"]
    assert routes.queues("in", "us.paris") == ["all"]


def test_in_a_circle_each_queue_gets_one_copy() -> None:
    """e2e: "We detect and eliminate cycles during message delivery" """
    routes = Routes()
    for name in ("a", "b", "c"):
        routes.declare(name, "fanout")
        routes.bind(name, "shared")
        routes.bind(name, f"of {name}")
    routes.bind("a", exchange("b"))
    routes.bind("b", exchange("c"))
    routes.bind("c", exchange("a"))
    routes.bind("a", exchange("a"))
    assert routes.queues("b") == ["of a", "of b", "of c", "shared"]


def test_an_internal_exchange_is_reached_only_through_others() -> None:
    """exchanges#internal; rabbit_channel.erl, check_internal_exchange: 403"""
    routes = Routes()
    routes.declare("inner", "fanout", internal=True)
    routes.bind("inner", "q")
    routes.bind("amq.fanout", exchange("inner"))
    assert routes.queues("amq.fanout") == ["q"]
    refused("INTERNAL_EXCHANGE", routes.publish, "inner")


def test_an_alternate_takes_what_no_binding_matched() -> None:
    """ae#how-it-works"""
    routes = Routes()
    routes.declare("my-direct", alternate="my-ae")
    routes.declare("my-ae", "fanout", internal=True)
    routes.bind("my-direct", "routed", "key1")
    routes.bind("my-ae", "unrouted")
    assert routes.queues("my-direct", "key1") == ["routed"]
    # "it still counts as routed for the purpose of the 'mandatory' flag"
    assert routes.publish("my-direct", "key2", mandatory=True) == (("unrouted",), False)


def test_alternates_form_a_chain_and_a_circle_ends() -> None:
    """ae#how-it-works: "until ... an AE is encountered which has already attempted" """
    routes = Routes()
    routes.declare("a", alternate="b")
    routes.declare("b", alternate="c")
    routes.declare("c", alternate="a")
    assert routes.publish("a", "k", mandatory=True) == ((), True)
    routes.bind("c", "last", "k")
    assert routes.queues("a", "k") == ["last"]


def test_an_alternate_that_does_not_exist_is_passed_over() -> None:
    """ae#how-it-works: "If that AE does not exist then a warning is logged" """
    routes = Routes()
    routes.declare("a", alternate="none")
    assert routes.queues("a", "k") == []
    routes.declare("self", alternate="self")
    assert routes.queues("self", "k") == []


def test_an_alternate_is_not_used_when_a_bound_exchange_matched() -> None:
    """rabbit_exchange.erl, process_alternate: only for an empty list of destinations"""
    routes = Routes()
    routes.declare("a", "fanout", alternate="amq.fanout")
    routes.declare("empty", "direct")
    routes.bind("a", exchange("empty"))
    routes.bind("amq.fanout", "q")
    assert routes.queues("a", "k") == []


def test_the_default_exchange_as_an_alternate_routes_by_name() -> None:
    """Ours: RabbitMQ accepts the declaration and drops the message."""
    routes = Routes()
    routes.declare("a", alternate="")
    routes.router.add_queue(HOST, "q")
    assert routes.queues("a", "q") == ["q"]


def test_an_argument_overrules_the_alternate_of_a_policy() -> None:
    """ae#define: "the one specified in arguments overrules the one specified in policy" """
    routes = Routes()
    routes.declare("mine", alternate="amq.fanout")
    routes.declare("plain")
    routes.bind("amq.fanout", "from argument")
    routes.bind("amq.topic", "from policy", "#")
    for name in ("mine", "plain"):
        row = routes.router.apply_policy(HOST, name, "amq.topic")
        assert row is not None
        assert row.policy_alternate == "amq.topic"
    assert routes.router.apply_policy(HOST, "plain", "amq.topic") is None
    assert routes.queues("mine", "k") == ["from argument"]
    assert routes.queues("plain", "k") == ["from policy"]
    routes.router.apply_policy(HOST, "plain", None)
    assert routes.queues("plain", "k") == []


def test_the_name_of_an_alternate_is_a_string() -> None:
    """rabbit_channel.erl: 406 "invalid type" for the argument"""
    routes = Routes()
    error = refused(
        "INVALID_FIELD", routes.declare, "a", arguments=(("alternate-exchange", int64(1)),)
    )
    assert error.field == "arguments.alternate-exchange"


def test_a_mandatory_message_that_reaches_no_queue_is_returned() -> None:
    """publishers#unroutable"""
    routes = Routes()
    routes.declare("empty", "fanout")
    assert routes.publish("empty", mandatory=True) == ((), True)
    assert routes.publish("empty") == ((), False)
    # Another exchange matched, but no queue.
    routes.bind("amq.fanout", exchange("empty"))
    assert routes.publish("amq.fanout", mandatory=True).returned
    assert routes.publish("", "no queue", mandatory=True).returned
    routes.bind("empty", "q")
    assert routes.publish("amq.fanout", mandatory=True) == (("q",), False)


def test_auto_delete_goes_with_the_last_binding_from_it() -> None:
    """exchanges#auto-delete and e2e: only bindings of which it is the source count"""
    routes = Routes()
    made = routes.declare("temp", "fanout", auto_delete=True)
    routes.bind("amq.fanout", exchange("temp"))
    # Bound to, never from: it stays.
    assert routes.unbind("amq.fanout", exchange("temp")).exchanges == ()
    routes.bind("amq.fanout", exchange("temp"))
    routes.bind("temp", "a")
    routes.bind("temp", "b")
    assert routes.unbind("temp", "a").exchanges == ()
    removed = routes.router.remove_queue(HOST, "b")
    assert removed.exchanges == (made,)
    assert [binding.source for binding in removed.bindings] == ["temp", "amq.fanout"]
    assert routes.queues("amq.fanout") == []
    refused("EXCHANGE_NOT_FOUND", routes.publish, "temp")


def test_auto_delete_goes_on_up_the_chain() -> None:
    """rabbit_db_binding.erl, maybe_auto_delete_exchange"""
    routes = Routes()
    for name in ("top", "middle", "bottom"):
        routes.declare(name, "fanout", auto_delete=True)
    routes.bind("top", exchange("middle"))
    routes.bind("middle", exchange("bottom"))
    routes.bind("bottom", "q")
    removed = routes.unbind("bottom", "q")
    assert [row.name for row in removed.exchanges] == ["bottom", "middle", "top"]
    assert len(removed.bindings) == 3
    assert not routes.router.virtual_hosts[HOST].bindings


def test_a_deleted_exchange_takes_its_bindings() -> None:
    """amqp-0-9-1-reference, exchange.delete: "all queue bindings on the exchange are cancelled" """
    routes = Routes()
    made = routes.declare("mid", "fanout", auto_delete=True)
    routes.bind("mid", exchange("mid"))
    routes.bind("mid", "q")
    routes.bind("amq.fanout", exchange("mid"))
    error = refused("EXCHANGE_IN_USE", routes.router.delete_exchange, HOST, "mid", if_unused=True)
    assert "has bindings" in error.message
    removed = routes.router.delete_exchange(HOST, "mid")
    assert removed.exchanges == (made,)
    assert len(removed.bindings) == 3
    assert not routes.router.virtual_hosts[HOST].bindings
    routes.declare("mid", "direct")
    routes.router.delete_exchange(HOST, "mid", if_unused=True)


def test_a_deleted_queue_takes_its_bindings() -> None:
    """amqp-0-9-1-reference, queue.delete"""
    routes = Routes()
    for key in ("x", "y"):
        routes.bind("amq.direct", "q", key)
    routes.bind("amq.direct", "other", "x")
    removed = routes.router.remove_queue(HOST, "q")
    assert [binding.key for binding in removed.bindings] == [b"x", b"y"]
    assert routes.queues("amq.direct", "x") == ["other"]


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
