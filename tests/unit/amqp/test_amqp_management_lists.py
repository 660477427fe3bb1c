"""Filters, orders and pages of the management API's lists."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.amqp.management.failures import Failure
from gateway.amqp.management.lists import paging
from gateway.amqp.management.lists.patterns import MOST_VISITS, BadPattern, Pattern
from gateway.amqp.management.rates import MOST, NONE, Rates, Totals


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
