"""Callers take turns by what their work costs; who is alone is known; a pace spaces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.queues.turns import HEARD_FOR, Contention, Turns


def taken(turns: Turns[int]) -> list[tuple[str, int]]:
    return [turns.take() for _ in range(len(turns))]


def test_one_caller_gets_its_work_in_order() -> None:
    turns = Turns[int](10)
    for number, cost in enumerate((5, 1_000, 0)):
        turns.add("a", number, cost)
    assert taken(turns) == [("a", 0), ("a", 1), ("a", 2)]
    assert not turns


def test_a_caller_with_much_gets_no_more_turns_than_one_with_little() -> None:
    turns = Turns[int](10)
    for number in range(100):
        turns.add("many", number, 10)
    for number in range(3):
        turns.add("few", number, 10)
    order = [caller for caller, _ in taken(turns)]
    assert order[:6].count("few") == 3


def test_turns_are_by_cost_and_not_by_number() -> None:
    turns = Turns[int](10)
    for number in range(20):
        turns.add("large", number, 50)
        turns.add("small", number, 5)
    order = [caller for caller, _ in taken(turns)]
    # All small work, of the cost of two large pieces, is done before the third large one.
    third = [place for place, caller in enumerate(order) if caller == "large"][2]
    assert order[:third].count("small") == 20


def test_who_was_away_has_saved_nothing() -> None:
    turns = Turns[int](10)
    turns.add("a", 0, 1)
    turns.take()
    for number in range(10):
        turns.add("b", number, 10)
        turns.add("a", number, 10)
    first = [caller for caller, _ in taken(turns)][:6]
    assert first.count("a") == first.count("b") == 3


WORK = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 500)), max_size=60)


@given(WORK, st.integers(1, 100))
def test_nothing_is_lost_and_nobody_gets_more_than_its_share(
    work: list[tuple[str, int]], quantum: int
) -> None:
    turns = Turns[int](quantum)
    for number, (caller, cost) in enumerate(work):
        turns.add(caller, number, cost)
    assert sorted(turns) == list(range(len(work)))
    done: dict[str, int] = {}
    left = {caller: [n for n, (who, _) in enumerate(work) if who == caller] for caller in "abcd"}
    most = max((cost for _, cost in work), default=0)
    for _ in range(len(work)):
        caller, number = turns.take()
        assert left[caller].pop(0) == number
        done[caller] = done.get(caller, 0) + work[number][1]
        # Of two callers that have waited all the time neither is ahead by more than a round.
        waiting = [done.get(each, 0) for each, rest in left.items() if rest]
        if len(waiting) > 1:
            assert max(waiting) - min(waiting) <= 2 * (most + quantum)
    assert not turns


def test_a_caller_is_alone_until_another_one_is_heard() -> None:
    contention = Contention()
    assert not contention.others("a", 0.0)
    contention.heard("a", 0.0)
    contention.heard("a", 1.0)
    assert not contention.others("a", 1.0)
    assert contention.others("b", 1.0)
    contention.heard("b", 1.5)
    contention.heard("a", 2.0)
    assert contention.others("a", 2.0)
    assert contention.others("b", 2.0)
    assert not contention.others("a", 1.5 + HEARD_FOR)
    assert contention.others("c", 1.5 + HEARD_FOR)
