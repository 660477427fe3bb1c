"""The trie against the definition of topic patterns, word by word."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from scheduler.core.broker.routing.matchers.trie import Trie
from tests.support.routing import queue

# Few words, so that they meet; some are empty, some contain wildcards.
keys = st.lists(st.sampled_from(["a", "b", "", "a", "*a", "##"]), max_size=7).map(".".join)
patterns = st.lists(st.sampled_from(["a", "b", "", "*", "#", "#"]), max_size=7).map(".".join)
long_patterns = st.lists(st.sampled_from(["a", "*", "#"]), min_size=100, max_size=128).map(".".join)
long_keys = st.lists(st.sampled_from(["a", "a", "b"]), min_size=100, max_size=128).map(".".join)


def matches(pattern: list[str], key: list[str]) -> bool:
    """The definition. `row[i]`: the pattern so far matches the first i words of the key."""
    row = [True] + [False] * len(key)
    for word in pattern:
        if word == "#":
            row = [any(row[: place + 1]) for place in range(len(row))]
        else:
            row = [False] + [row[place] and word in ("*", key[place]) for place in range(len(key))]
    return row[-1]


def words(key: str) -> list[str]:
    return key.split(".") if key else []


def found(trie: Trie, key: str) -> set[str]:
    return {name for ends in trie.match(key.encode()) for name in ends.matched().queues}


@given(st.lists(patterns, max_size=12), st.lists(keys, min_size=1, max_size=4), st.data())
@example(["#.#.#", "*.#.*", "#.a.#", ""], ["", "a", "a.a", "."], None)
def test_the_trie_finds_what_matches(bound: list[str], published: list[str], data) -> None:
    trie = Trie()
    live: list[str] = []
    for pattern in bound:
        trie.add(pattern.encode(), queue(pattern))
        live.append(pattern)
        if data is not None and data.draw(st.integers(0, 3)) == 0:
            gone = live.pop(data.draw(st.integers(0, len(live) - 1)))
            trie.remove(gone.encode(), queue(gone))
    for key in published:
        expected = {pattern for pattern in live if matches(words(pattern), words(key))}
        assert found(trie, key) == expected


@settings(max_examples=25)
@given(st.lists(long_patterns, min_size=1, max_size=6), long_keys)
def test_the_trie_finds_what_matches_at_255_characters(bound: list[str], key: str) -> None:
    trie = Trie()
    for pattern in bound:
        trie.add(pattern.encode(), queue(pattern))
    before = trie.visits
    assert found(trie, key) == {one for one in bound if matches(words(one), words(key))}
    assert trie.visits - before <= 1 + sum(len(words(one)) for one in bound)
