"""Filters, orders and pages of the management API's lists."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.amqp.management.failures import Failure
from gateway.amqp.management.lists import paging
from gateway.amqp.management.rates import MOST, NONE, Rates, Totals
from quorate.runtime.matching.patterns import (
    MOST_BUILDS,
    MOST_VISITS,
    BadPattern,
    Pattern,
    _Parser,
)


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "a", "^a", "a$", "^a$", "^$", ".", "a.c", "a|b", "^(a|b)c$", "^(?:ab)+$", "x*"),
        *("^a{2}$", "^a{2,}$", "^a{1,2}$", "^a{0}$", "[abc]", "[^abc]", "[a-c]x", "[-a]", "[]a]"),
        *(r"\d+", r"^\w+$", r"\W", r"\s", r"a\.b", r"[\d.]+$", r"a-\D", "^mail-[0-9]+$", "ab?c"),
        *("a.*?c", "^.+$", "(a(b(c)))", "(|a)b", "A", "[A-C]$", "é", r"\$", "a|", "(^a|b$)"),
    ],
)
def test_patterns_find_what_the_standard_library_finds(pattern: str) -> None:
    ours, theirs = Pattern(pattern), re.compile(pattern, re.IGNORECASE)
    for name in (
        *("", "a", "b", "c", "ab", "abc", "a.b", "aa", "aaa", "aab", "abab", "mail-1", "mail-x"),
        *("x", "cx", "A", "ABC", "É", "a c", "]", "-", "a-1", "a-b", "$", "ac", "bc", "ba"),
    ):
        assert ours.found_in(name) == (theirs.search(name) is not None), (pattern, name)


@given(
    st.text("ab.*+?()|[]^$\\d{1,}", max_size=12),
    st.lists(st.text("ab1,", max_size=6), max_size=4),
)
def test_no_pattern_breaks_anything_and_good_ones_agree(pattern: str, names: list[str]) -> None:
    try:
        ours = Pattern(pattern)
    except BadPattern:
        return
    try:
        theirs = re.compile(pattern, re.IGNORECASE)
    except re.error:
        return
    for name in names:
        assert ours.found_in(name) == (theirs.search(name) is not None)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "a)", "[a", "a{2", "a{x}", "a{3,2}", "a{101}", "*", "+a", "a++", "(?=a)"),
        *(r"\1", r"(a)\1", "(?P<x>a)", "\\", "[b-a]", "x" * 257, "(" * 30 + ")" * 30),
        *("(a{100}){100}", r"\b"),
    ],
)
def test_other_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        Pattern(pattern)


def test_a_pattern_that_would_take_years_costs_little_or_is_refused() -> None:
    pattern = Pattern("^(a+)+$")
    assert not pattern.found_in("a" * 254 + "!")
    assert pattern._visits < 5_000
    costly = Pattern("(" + "|".join(f".{{{n}}}b" for n in range(20)) + ")c")

    def look() -> None:
        for number in range(MOST_VISITS):
            costly.found_in(f"{number:064b}".replace("0", "a").replace("1", "b"))

    with pytest.raises(BadPattern, match="takes too long"):
        look()


@pytest.mark.parametrize(
    "pattern",
    [
        *("()" + "{100}" * 50, "a{0}" + "{100}" * 50, "(|a{0}){100}" + "{1}" * 70),
        *("(" * 20 + ")" + "{100})" * 19 + "{100}", "(" * 19 + "a{0}" + "{100})" * 19),
        *("()*" + "{50}" * 2 + "b", "(()+){9}{9}", "(a{0}?){100,}", "(a(){100}{100}(){100}){9}"),
        *("()" * 120 + "a{100}", "((){0,2}){2}{2}"),
    ],
)
def test_what_is_built_of_empty_parts_costs_little(pattern: str) -> None:
    states: list[Any] = [None]
    parser = _Parser(pattern, states)
    try:
        parser.read()(0)
    except BadPattern:
        # By its states.
        assert len(states) >= 100
    assert parser._built < MOST_BUILDS / 10


def test_so_many_parts_are_built_at_most() -> None:
    parser = _Parser("(a" + "()" * 100 + "){100}" + "{4}", [])
    with pytest.raises(BadPattern, match="is too large"):
        parser.read()(0)
    assert parser._built == MOST_BUILDS + 1


def test_the_members_of_a_class_count() -> None:
    few, many = Pattern("[a-b]{100}c"), Pattern(f"[{'xy' * 100}a-b]{{100}}c")
    for pattern in (few, many):
        assert not pattern.found_in("a" * 50)
    assert many._visits > 50 * few._visits
    costly = Pattern(f"[{'xy' * 110}ab]{{100}}{{4}}c")
    with pytest.raises(BadPattern, match="takes too long"):
        costly.found_in("ab" * 127)


async def listed(query: dict[str, str], *entries: Any) -> Any:
    wanted = paging.wanted_of(query)
    return await paging.listed(wanted, entries, lambda one: str(one["name"]), lambda one: one)


ROWS = [{"name": f"q{n}", "messages": n % 3, "stats": {"in": -n}} for n in range(7)]


async def test_a_list_is_a_page_where_one_is_asked_for() -> None:
    assert await listed({}, *ROWS) == ROWS
    page = await listed({"page": "2", "page_size": "3"}, *ROWS)
    assert [one["name"] for one in page["items"]] == ["q3", "q4", "q5"]
    assert (page["page_count"], page["item_count"], page["total_count"]) == (3, 3, 7)
    empty = await listed({"page": "1", "name": "none"}, *ROWS)
    assert (empty["items"], empty["page_count"], empty["filtered_count"]) == ([], 1, 0)


async def test_a_list_is_filtered_sorted_and_cut() -> None:
    assert [one["name"] for one in await listed({"name": "Q1"}, *ROWS)] == ["q1"]
    sorted_ = await listed({"sort": "messages", "sort_reverse": "true"}, *ROWS)
    assert [one["messages"] for one in sorted_] == [2, 2, 1, 1, 0, 0, 0]
    inside = await listed({"sort": "stats.in", "columns": "name,stats.in"}, *ROWS[:2])
    assert inside == [
        {"name": "q1", "stats": {"in": -1}},
        {"name": "q0", "stats": {"in": 0}},
    ]
    mixed = [{"name": "a", "v": "x"}, {"name": "b"}, {"name": "c", "v": 1}]
    assert [one["name"] for one in await listed({"sort": "v"}, *mixed)] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"sort": "a." * 65}, "sort: .* has 130 characters; use at most 128"),
        ({"columns": "a," + "b." * 65}, "columns: .* has 130 characters; use at most 128"),
        ({"columns": ",".join("a" * 51)}, "columns: 51 are too many; at most 50"),
        ({"page": "0" * 20 + "1"}, "page: "),
        ({"page": "1" * 5_000}, "page: "),
        ({"page": "1" * 19}, "page: "),
        ({"page": "1", "page_size": "5000"}, "page_size: '5000'"),
        # Python's own limit of digits is never met.
        ({"page": "1", "page_size": "0" * 5_000 + "1"}, "page_size: "),
    ],
)
async def test_paths_and_numbers_have_a_bound(query: dict[str, str], says: str) -> None:
    with pytest.raises(Failure, match=says) as caught:
        await listed(query, *ROWS)
    assert caught.value.status == 400


async def test_paths_and_numbers_of_just_that_size_are_taken() -> None:
    query = {"sort": "a." * 64, "columns": ",".join(("b." * 64, *["name"] * 49))}
    assert await listed(query, ROWS[0]) == [{"name": "q0"}]
    page = await listed({"page": "0" * 19 + "1", "page_size": "500"}, *ROWS)
    assert (page["page"], page["page_size"]) == (1, 500)


def test_the_path_of_a_field_is_followed_as_far_as_there_are_fields() -> None:
    entry = {"a": {"b": 1}, "c": "text"}
    assert paging.field_of(entry, "a.b") == 1
    for path in ("a.b.c", "c.a", "d.e", "", "a."):
        assert paging.field_of(entry, path) is None


async def test_more_entries_than_one_answer_takes_need_pages() -> None:
    many = [{"name": str(n)} for n in range(paging.MOST_UNPAGED + 1)]
    with pytest.raises(Failure, match="use page and page_size"):
        await listed({}, *many)
    assert (await listed({"page": "1"}, *many))["filtered_count"] == len(many)


def test_rates_of_so_many_queues_are_kept() -> None:
    rates = Rates()
    for number in range(MOST + 1):
        rates.of(str(number), NONE, 0.0)
    assert len(rates._known) == MOST
    assert rates.of("1", Totals(publish=50), 10.0).publish == 5
    # Forgotten: the first reading again.
    assert rates.of("0", Totals(publish=50), 10.0) == NONE
    # A reading of an hour ago says nothing of now.
    assert rates.of("1", Totals(publish=90), 3_610.0) == NONE
