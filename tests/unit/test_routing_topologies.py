"""Bindings between exchanges, alternates, returned messages, and what a deletion takes with it.

Each test names the page (below https://www.rabbitmq.com/docs/) or the file of rabbitmq-server that
says so.
"""

from __future__ import annotations

from tests.support.routing import HOST, Routes, exchange, int64, refused


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
    assert routes.publish("my-direct", "key2", mandatory=True)[:2] == (("unrouted",), False)


def test_alternates_form_a_chain_and_a_circle_ends() -> None:
    """ae#how-it-works: "until ... an AE is encountered which has already attempted" """
    routes = Routes()
    routes.declare("a", alternate="b")
    routes.declare("b", alternate="c")
    routes.declare("c", alternate="a")
    assert routes.publish("a", "k", mandatory=True)[:2] == ((), True)
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
    assert routes.publish("empty", mandatory=True)[:2] == ((), True)
    assert routes.publish("empty")[:2] == ((), False)
    # Another exchange matched, but no queue.
    routes.bind("amq.fanout", exchange("empty"))
    assert routes.publish("amq.fanout", mandatory=True).returned
    assert routes.publish("", "no queue", mandatory=True).returned
    routes.bind("empty", "q")
    assert routes.publish("amq.fanout", mandatory=True)[:2] == (("q",), False)


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
