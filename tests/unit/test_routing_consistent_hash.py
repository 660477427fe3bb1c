"""Consistent hashing: weights, what is hashed, and how few keys move.

deps/rabbitmq_consistent_hash_exchange/README.md of rabbitmq-server, and
rabbit_exchange_type_consistent_hash.erl there.
"""

from __future__ import annotations

from collections import Counter

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker.routing.fields import Value
from scheduler.core.broker.routing.matchers.consistent_hash import jump
from scheduler.core.broker.routing.rows import Message
from tests.support.routing import HOST, Routes, int64, string

KEYS = [f"key {number}" for number in range(4_000)]


def hashed(*weights: int, arguments: tuple[tuple[str, Value], ...] = ()) -> Routes:
    routes = Routes()
    routes.declare("ring", "x-consistent-hash", arguments=arguments)
    for number, weight in enumerate(weights):
        routes.bind("ring", f"q{number}", str(weight))
    return routes


def placed(routes: Routes) -> dict[str, str]:
    found = {}
    for key in KEYS:
        [found[key]] = routes.queues("ring", key)
    return found


def test_each_message_goes_to_one_queue_by_weight() -> None:
    """README, "Weights" and "Consistent Hashing-based Routing" """
    counts = Counter(placed(hashed(1, 1, 2)).values())
    assert sum(counts.values()) == len(KEYS)
    assert 0.23 < counts["q0"] / len(KEYS) < 0.27
    assert 0.48 < counts["q2"] / len(KEYS) < 0.52


def test_without_bindings_a_message_reaches_nothing() -> None:
    assert hashed().publish("ring", "k", mandatory=True)[:2] == ((), True)


def test_a_new_queue_takes_its_share_and_moves_no_other_key() -> None:
    """README: "only a very few hashes change which bucket they are routed to" """
    routes = hashed(1, 1, 1)
    before = placed(routes)
    routes.bind("ring", "q3", "1")
    after = placed(routes)
    moved = [key for key in KEYS if before[key] != after[key]]
    assert {after[key] for key in moved} == {"q3"}
    assert 0.2 < len(moved) / len(KEYS) < 0.3
    routes.unbind("ring", "q3", "1")
    assert placed(routes) == before


def test_keys_go_to_the_same_queues_in_whatever_order_the_rows_were_loaded() -> None:
    """Ours; README, "Node Restart Effects": in RabbitMQ a key may go elsewhere after a restart."""
    routes = hashed(3, 1, 2)
    rows = list(routes.router.virtual_hosts[HOST].bindings.values())
    for order in ((2, 0, 1), (1, 2, 0), (2, 1, 0)):
        loaded = hashed()
        for place in order:
            loaded.router.add_queue(HOST, rows[place].destination.name)
            loaded.router.virtual_hosts[HOST].put_binding(rows[place])
        assert placed(loaded) == placed(routes)
        # What the next leader binds comes after them.
        loaded.bind("ring", "q3", "1")
        assert all(
            now in (before, "q3")
            for before, now in zip(placed(routes).values(), placed(loaded).values(), strict=True)
        )


def test_the_first_binding_of_a_queue_counts() -> None:
    """README, "One Binding Per Queue" """
    routes = hashed(1, 1)
    before = placed(routes)
    routes.bind("ring", "q0", "9")
    assert placed(routes) == before
    # When it goes, the next one counts.
    routes.unbind("ring", "q0", "1")
    assert Counter(placed(routes).values())["q0"] / len(KEYS) > 0.85


@pytest.mark.parametrize("key", ["", "0", "-1", "x", "1.5", " 1", "10001", "1" * 30, "٣"])
def test_a_weight_is_a_whole_number(key: str) -> None:
    """validate_binding: from 1 to 10,000"""
    with pytest.raises(QuorateError) as caught:
        hashed().bind("ring", "q", key)
    assert caught.value.field == "binding_key"
    assert hashed().bind("ring", "q", "10000")
    assert hashed().bind("ring", "q", "+1")


def test_a_header_is_hashed_instead_of_the_key() -> None:
    """README, "Routing on a Header": all without the header go to one queue"""
    routes = hashed(1, 1, 1, 1, arguments=(("hash-header", string("id")),))
    assert len({routes.publish("ring", key) for key in KEYS[:50]}) == 1
    found = {routes.publish("ring", "k", {"id": string(key)}) for key in KEYS[:50]}
    assert len(found) == 4
    # Equal values go to the same queue.
    for number in range(50):
        short = Value(int64(1).type.INT8, number)
        assert routes.publish("ring", "", {"id": int64(number)}) == routes.publish(
            "ring", "", {"id": short}
        )


@pytest.mark.parametrize("name", ["correlation_id", "message_id", "timestamp"])
def test_a_property_is_hashed_instead_of_the_key(name: str) -> None:
    """README, "Routing on a Message Property" """
    routes = hashed(1, 1, 1, 1, arguments=(("hash-property", string(name)),))

    def sent(key: bytes, number: int | None) -> tuple[str, ...]:
        value = None if number is None else b"%d" % number
        message = {
            "correlation_id": Message(key, correlation_id=value),
            "message_id": Message(key, message_id=value),
            "timestamp": Message(key, timestamp=number),
        }[name]
        return routes.router.route(HOST, "ring", message).queues

    assert len({sent(b"%d" % number, None) for number in range(50)}) == 1
    assert len({sent(b"", number) for number in range(50)}) == 4
    assert all(sent(b"x", number) == sent(b"y", number) for number in range(50))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"hash-header": string("a"), "hash-property": string("message_id")}, "arguments"),
        ({"hash-property": string("priority")}, "arguments.hash-property"),
        ({"hash-property": int64(1)}, "arguments.hash-property"),
        ({"hash-header": int64(1)}, "arguments.hash-header"),
        ({"hash-header": Value(string("").type, b"\xff")}, "arguments.hash-header"),
    ],
)
def test_other_arguments_are_refused(arguments: dict[str, Value], field: str) -> None:
    """validate: 406 "mutually exclusive", "Unsupported property" """
    with pytest.raises(QuorateError) as caught:
        hashed(arguments=tuple(arguments.items()))
    assert caught.value.field == field


def test_the_hash_stays_as_it_is() -> None:
    """Keys go to the same queues after an upgrade.

    520 is in the README of lithammer/go-jump-consistent-hash.
    """
    assert jump(256, 1024) == 520
    assert [jump(42, 57), jump(0xDEAD10CC, 666), jump(2**64 - 1, 1)] == [43, 361, 0]
    routes = hashed(1, 1, 1, 1)
    assert "".join(routes.queues("ring", str(number))[0][1] for number in range(8)) == "23323011"
