"""Headers exchanges: which bindings match, and which values are equal.

https://www.rabbitmq.com/docs/exchanges#headers and rabbit_exchange_type_headers.erl; the types are
those of rabbit_binary_parser.erl.
"""

from __future__ import annotations

import itertools

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker.routing.fields import (
    MOST_DEPTH,
    FieldType,
    Value,
    comparable,
    exact,
    too_deep,
)
from tests.support.routing import VOID, Routes, int64, string

PDF, LOG = string("pdf"), string("log")


def array(*items: Value) -> Value:
    return Value(FieldType.ARRAY, items=items)


def table(**entries: Value) -> Value:
    return Value(FieldType.TABLE, entries=tuple(entries.items()))


def bound(mode: str, **conditions: Value) -> Routes:
    routes = Routes()
    arguments = tuple(conditions.items())
    if mode:
        arguments = (("x-match", string(mode)), *arguments)
    routes.bind("amq.headers", "q", "ignored", arguments)
    return routes


def hit(routes: Routes, **headers: Value) -> bool:
    return routes.queues("amq.headers", "k", headers) == ["q"]


@pytest.mark.parametrize("mode", ["", "all"])
def test_all_is_the_default_and_each_condition_must_hold(mode: str) -> None:
    routes = bound(mode, format=PDF, type=LOG)
    assert hit(routes, format=PDF, type=LOG, more=PDF)
    assert not hit(routes, format=PDF)
    assert not hit(routes, format=PDF, type=PDF)
    assert not hit(routes)


def test_any_is_one_of_the_conditions() -> None:
    routes = bound("any", format=PDF, type=LOG)
    assert hit(routes, format=PDF)
    assert hit(routes, type=LOG, format=LOG)
    assert hit(routes, type=LOG, format=PDF)
    assert not hit(routes, format=LOG, other=PDF)
    assert not hit(routes)


def test_names_that_begin_with_x_count_only_in_the_modes_with_x() -> None:
    """ "x-" conditions are skipped, but for all-with-x and any-with-x; "x-match" always is."""
    condition = {"x-id": int64(1)}
    assert hit(bound("all", **condition))
    assert not hit(bound("any", **condition), **condition)
    assert not hit(bound("all-with-x", **condition))
    assert hit(bound("all-with-x", **condition), **condition)
    assert hit(bound("any-with-x", **condition), **condition)
    assert not hit(bound("any-with-x", **condition), **{"x-id": int64(2)})
    assert hit(bound("all-with-x", **condition), **condition, **{"x-match": PDF})
    # A header of the message that begins with x- disturbs no mode.
    assert hit(bound("all", format=PDF), format=PDF, **condition)


def test_without_conditions_all_matches_each_message_and_any_none() -> None:
    for mode in ("", "all", "all-with-x"):
        assert hit(bound(mode))
        assert hit(bound(mode), format=PDF)
    for mode in ("any", "any-with-x"):
        assert not hit(bound(mode))
        assert not hit(bound(mode), format=PDF)


def test_a_void_condition_asks_whether_the_header_is_there() -> None:
    for mode in ("all", "any"):
        routes = bound(mode, format=VOID)
        assert hit(routes, format=PDF)
        assert hit(routes, format=VOID)
        assert hit(routes, format=array(table(a=VOID)))
        assert not hit(routes, other=PDF)
    # A void header has no value.
    assert not hit(bound("all", format=PDF), format=VOID)


def test_two_conditions_on_one_header_exclude_each_other() -> None:
    routes = Routes()
    routes.bind("amq.headers", "q", "", (("a", int64(1)), ("a", int64(2))))
    assert not hit(routes, a=int64(1))
    routes.bind("amq.headers", "q", "", (("a", int64(1)), ("a", VOID)))
    assert hit(routes, a=int64(1))


def test_bindings_go_one_by_one() -> None:
    routes = bound("any", a=int64(1), b=int64(2))
    routes.bind("amq.headers", "q", "", (("a", int64(1)),))
    routes.bind("amq.headers", "all", "", ())
    assert routes.queues("amq.headers", "", {"a": int64(1)}) == ["all", "q"]
    routes.unbind("amq.headers", "q", "", (("a", int64(1)),))
    assert routes.queues("amq.headers", "", {"a": int64(1)}) == ["all", "q"]
    arguments = (("b", int64(2)), ("x-match", string("any")), ("a", int64(1)))
    routes.unbind("amq.headers", "q", "ignored", arguments)
    assert routes.queues("amq.headers", "", {"a": int64(1)}) == ["all"]
    routes.unbind("amq.headers", "all")
    assert routes.queues("amq.headers", "", {"a": int64(1)}) == []


@pytest.mark.parametrize("value", [string("some"), string("ALL"), int64(1), VOID])
def test_another_x_match_is_refused(value: Value) -> None:
    """validate_binding: 406 "Invalid x-match field value" and "... type" """
    routes = Routes()
    with pytest.raises(QuorateError) as caught:
        routes.bind("amq.match", "q", "", (("x-match", value),))
    assert caught.value.field == "arguments.x-match"


T = FieldType
# Values in one row equal each other; values of different rows do not.
EQUAL = [
    [
        Value(letter, 1)
        for letter in (T.INT8, T.UINT8, T.INT16, T.UINT16, T.INT32, T.UINT32, T.INT64)
    ],
    [Value(T.INT64, -1), Value(T.INT8, -1)],
    [Value(T.FLOAT, 1.0), Value(T.DOUBLE, 1.0)],
    [Value(T.DOUBLE, 0.0)],
    [Value(T.DOUBLE, -0.0)],
    [Value(T.INT32, 0)],
    [Value(T.BOOL, True)],
    [Value(T.BOOL, False)],
    [Value(T.STRING, b"1"), Value(T.BYTES, b"1")],
    [Value(T.STRING, b"")],
    [Value(T.TIMESTAMP, 1)],
    [Value(T.DECIMAL, (1, 1))],
    [Value(T.DECIMAL, (2, 10))],
    [array(), table()],
    [array(Value(T.INT32, 1))],
    # In arrays and tables types count, and so does the order.
    [array(Value(T.INT64, 1))],
    [array(Value(T.STRING, b"1"))],
    [array(Value(T.BYTES, b"1"))],
    [array(array())],
    [array(table())],
    [array(VOID)],
    [table(a=Value(T.INT32, 1), b=VOID)],
    [table(b=VOID, a=Value(T.INT32, 1))],
    [table(a=table(a=array(Value(T.DOUBLE, 0.0))))],
    [table(a=table(a=array(Value(T.DOUBLE, -0.0))))],
]


def test_values_are_equal_as_in_erlang() -> None:
    """rabbit_exchange_type_headers.erl, match: `=:=` of the values without their types"""
    rows = [(number, value) for number, row in enumerate(EQUAL) for value in row]
    for (one, left), (other, right) in itertools.product(rows, rows):
        assert (comparable(left) == comparable(right)) is (one == other), (left, right)
        assert hit(bound("all", h=left), h=right) is (one == other), (left, right)


def test_bindings_whose_arguments_differ_in_type_are_two() -> None:
    """rabbit_binding.erl: arguments are compared as they are, types included"""
    routes = bound("all", a=Value(T.INT32, 1))
    assert routes.bind("amq.headers", "q", "ignored", (("x-match", string("all")), ("a", int64(1))))
    assert exact((("a", int64(1)),)) != exact((("a", Value(T.INT32, 1)),))


def nested(depth: int) -> Value:
    value = int64(1)
    for _ in range(depth):
        value = array(value)
    return value


def test_values_of_every_depth() -> None:
    assert hit(bound("all", h=nested(MOST_DEPTH)), h=nested(MOST_DEPTH))
    assert not hit(bound("all", h=nested(MOST_DEPTH)), h=nested(MOST_DEPTH - 1))
    assert not too_deep(nested(MOST_DEPTH))
    with pytest.raises(QuorateError) as caught:
        bound("all", h=nested(MOST_DEPTH + 1))
    assert (caught.value.field, caught.value.metadata["limit"]) == ("arguments.h", str(MOST_DEPTH))
    # In a message it is there, but equals nothing.
    deep = nested(20_000)
    assert comparable(deep) is None
    assert hit(bound("all", h=VOID), h=deep)
    assert not hit(bound("any", h=nested(3)), h=deep)
