"""Topic patterns: what matches, what it costs, and the cache.

https://www.rabbitmq.com/tutorials/tutorial-five-python ("* (star) can substitute for exactly one
word, # (hash) can substitute for zero or more words") and rabbit_db_topic_exchange.erl.
"""

from __future__ import annotations

import pytest

from scheduler.core.broker.routing.matchers.topic import MOST_CACHED, Topic
from scheduler.core.broker.routing.matchers.trie import Trie, normalized, words_of
from scheduler.core.broker.routing.rows import Binding, Message
from tests.support.routing import HOST, Routes, queue


def matches(pattern: str, key: str) -> bool:
    trie = Trie()
    trie.add(pattern.encode(), queue("q"))
    return bool(trie.match(key.encode()))


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        (
            "*.orange.*",
            "quick.orange.rabbit lazy.orange.elephant",
            "orange quick.orange a.b.orange.c",
        ),
        ("lazy.#", "lazy lazy.brown.fox lazy.orange.new.rabbit", "lazyx a.lazy"),
        ("a.b", "a.b", "a a.b.c a.* b.a"),
        ("#", "a a.b a.b.c . ..", ""),
        ("*", "a", "a.b a."),
        ("#.*", "a a.b .", ""),
        ("*.#", "a a.b .", ""),
        ("#.a.#", "a x.a a.x x.a.y", "b x.y"),
        ("#.#.#", "a a.b.c", ""),
        ("*.#.*", "a.b a.x.b a.x.y.b", "a"),
        ("a.#.b.#.c", "a.b.c a.x.b.y.c a.b.b.c.c", "a.c a.b a.b.c.d"),
        # Words may be empty, and an empty word is a word.
        ("a..b", "a..b", "a.b a...b"),
        ("a.*.b", "a..b a.x.b", "a.b"),
        (".", ".", "a ..."),
        ("*.*", ". a. .a a.b", "a"),
        # Wildcards are whole words.
        ("a*", "a*", "ab a"),
        ("a#.b", "a#.b", "a.b ax.b"),
    ],
)
def test_patterns(pattern: str, matching: str, others: str) -> None:
    assert [key for key in matching.split() if not matches(pattern, key)] == []
    assert [key for key in others.split() if matches(pattern, key)] == []


def test_the_empty_key_has_no_words() -> None:
    """rabbit_db_topic_exchange.erl, split_topic_key_binary"""
    assert matches("", "")
    assert matches("#", "")
    assert matches("#.#", "")
    assert not matches("*", "")
    assert not matches("", "a")
    assert not matches("", ".")


def test_patterns_of_255_characters() -> None:
    longest = ".".join("a" * 128)
    assert len(longest) == 255
    assert matches(longest, longest)
    assert matches("#." * 127 + "#", longest)
    assert matches("*." * 127 + "*", longest)
    assert not matches("*." * 126 + "*", longest)
    assert matches("." * 255, "." * 255)
    assert not matches("." * 254, "." * 255)
    assert matches("#.a." * 63 + "#", longest)
    assert not matches("#.a." * 63 + "b", longest)


def test_patterns_with_the_same_meaning_are_one() -> None:
    def normal(pattern: str) -> bytes:
        return b".".join(normalized(words_of(pattern.encode())))

    assert normal("#.#.#") == b"#"
    assert normal("#.*.#") == normal("*.#.#") == normal("#.*") == b"*.#"
    assert normal("a.#.*.b.*.c") == b"a.*.#.b.*.c"


def test_bindings_of_one_pattern_go_one_by_one() -> None:
    routes = Routes()
    routes.bind("amq.topic", "q", "#.#")
    routes.bind("amq.topic", "q", "#")
    routes.bind("amq.topic", "other", "#")
    routes.unbind("amq.topic", "q", "#")
    assert routes.queues("amq.topic", "k") == ["other", "q"]
    routes.unbind("amq.topic", "q", "#.#")
    assert routes.queues("amq.topic", "k") == ["other"]


def test_a_removed_pattern_leaves_no_nodes() -> None:
    trie = Trie()
    patterns = [b"a.b.c", b"a.b", b"a.*.#", b"#", b""]
    for pattern in patterns:
        trie.add(pattern, queue("q"))
    for pattern in patterns:
        trie.remove(pattern, queue("q"))
    before = trie.visits
    assert trie.match(b"a.b.c") == []
    assert trie.visits - before == 1


HOSTILE = [
    "#." * 127 + "#",
    "#.a." * 63 + "#",
    "*.#." * 63 + "*",
    "#.*.a." * 42 + "#",
    "#.a.a." * 42 + "b",
    *(".".join("#a"[number >> place & 1] for place in range(16)) for number in range(2_000)),
]


def test_a_match_visits_no_node_twice_whatever_the_patterns() -> None:
    """Backtracking would take 2^64 steps for one of these patterns."""
    trie = Trie()
    words = 0
    for number, pattern in enumerate(HOSTILE):
        trie.add(pattern.encode(), queue(str(number)))
        words += len(normalized(words_of(pattern.encode())))
    for key in (".".join("a" * 128), "a." * 127 + "b", "." * 255, "", "a"):
        before = trie.visits
        trie.match(key.encode())
        assert trie.visits - before <= words + 1


def test_the_cost_does_not_grow_with_bindings_that_do_not_match() -> None:
    trie = Trie()
    visits = []
    for number in range(10_000):
        trie.add(b"region.%d.*.load.#" % number, queue(str(number)))
        if number in (10, 9_999):
            before = trie.visits
            assert len(trie.match(b"region.7.host.load.cpu")) == 1
            visits.append(trie.visits - before)
    assert visits[0] == visits[1] <= 8


def test_a_repeated_key_is_answered_from_the_cache_until_a_binding_changes() -> None:
    topic = Topic()

    def binding(key: bytes) -> Binding:
        return Binding(HOST, "x", queue("q"), key)

    def visited(key: bytes) -> int:
        before = topic.visits
        topic.match(Message(key), (key,))
        return topic.visits - before

    topic.bind(binding(b"a.*"))
    assert visited(b"a.b") == 3
    assert visited(b"a.b") == 0
    topic.bind(binding(b"c"))
    assert visited(b"a.b") == 3
    assert visited(b"a.b") == 0
    topic.unbind(binding(b"a.*"))
    assert topic.match(Message(b"a.b"), (b"a.b",)) == ((), (), ())


def test_the_cache_has_a_bound() -> None:
    topic = Topic()
    for number in range(10):
        topic.bind(Binding(HOST, "x", queue(str(number)), b"#"))
    fits = MOST_CACHED // 11
    keys = [b"%d" % number for number in range(fits + 1)]
    for key in keys[:fits]:
        topic.match(Message(key), (key,))
    before = topic.visits
    topic.match(Message(keys[0]), (keys[0],))
    assert topic.visits == before
    # One more does not fit: the cache starts again.
    topic.match(Message(keys[fits]), (keys[fits],))
    before = topic.visits
    topic.match(Message(keys[0]), (keys[0],))
    assert topic.visits > before
    # A result that is larger than the whole cache is not cached.
    for number in range(MOST_CACHED):
        topic.bind(Binding(HOST, "x", queue(f"many {number}"), b"many"))
    for _ in range(2):
        before = topic.visits
        assert len(topic.match(Message(b"many"), (b"many",)).queues) == MOST_CACHED + 10
        assert topic.visits > before
