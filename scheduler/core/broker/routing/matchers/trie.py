"""A trie of topic patterns that visits each of its nodes at most once for a routing key.

A pattern is a list of words; `*` stands for one word and `#` for any number of words, also none.
Words may be empty: `a..b` has three. The empty key has no words at all (as in RabbitMQ).

Backtracking tries each way in which a `#` can match, and patterns such as `#.a.#.a.#` make their
number explode. Here a node is visited with ALL positions at which the key may be: a set of bits,
where bit i says "the first i words are used up". From a node with the positions P:

    the word w:  the positions of P that are followed by w, moved on by one
    *            the positions of P that are followed by any word, moved on by one
    #            every position from the first of P on

Each node has one parent, so it is visited at most once; the work for a node is a few operations on
an integer of at most 257 bits. The cost of a match is at most the number of nodes, and in a usual
set of patterns the number of words in the key.

Patterns that mean the same share a node: in a run of wildcards with a `#`, the order and the number
of `#` do not matter (`#.*.#` is `*.#`: at least one word).
"""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.core.broker.routing.matchers.matcher import Destinations
from scheduler.core.broker.routing.rows import Destination

_ANY_WORD = b"*"
_ANY_WORDS = b"#"


def words_of(key: bytes) -> list[bytes]:
    """The words of a routing key or pattern."""
    return key.split(b".") if key else []


def normalized(pattern: Sequence[bytes]) -> list[bytes]:
    """The pattern with the same meaning in which `#` ends its run of wildcards."""
    words: list[bytes] = []
    open_ended = False
    for word in pattern:
        if word == _ANY_WORDS:
            open_ended = True
            continue
        if open_ended and word != _ANY_WORD:
            words.append(_ANY_WORDS)
            open_ended = False
        words.append(word)
    if open_ended:
        words.append(_ANY_WORDS)
    return words


class _Node:
    """A prefix of patterns. `ends`: the destinations of the patterns that end here."""

    __slots__ = ("any_word", "any_words", "ends", "literals")

    def __init__(self) -> None:
        self.literals: dict[bytes, _Node] = {}
        self.any_word: _Node | None = None
        self.any_words: _Node | None = None
        self.ends: Destinations | None = None

    def child(self, word: bytes) -> _Node | None:
        if word == _ANY_WORD:
            return self.any_word
        if word == _ANY_WORDS:
            return self.any_words
        return self.literals.get(word)

    def set_child(self, word: bytes, node: _Node | None) -> None:
        if word == _ANY_WORD:
            self.any_word = node
        elif word == _ANY_WORDS:
            self.any_words = node
        elif node is None:
            del self.literals[word]
        else:
            self.literals[word] = node

    @property
    def unused(self) -> bool:
        return not (self.literals or self.any_word or self.any_words or self.ends)


class Trie:
    """Patterns and where they lead. `visits` counts nodes that matches visited, for tests."""

    def __init__(self) -> None:
        self._root = _Node()
        self.visits = 0

    def add(self, pattern: bytes, destination: Destination) -> None:
        """One more binding with this pattern leads there."""
        node = self._root
        for word in normalized(words_of(pattern)):
            child = node.child(word)
            if child is None:
                child = _Node()
                node.set_child(word, child)
            node = child
        if node.ends is None:
            node.ends = Destinations()
        node.ends.add(destination)

    def remove(self, pattern: bytes, destination: Destination) -> None:
        """One binding fewer; nodes that no pattern needs any more go."""
        node = self._root
        path: list[tuple[_Node, bytes]] = []
        for word in normalized(words_of(pattern)):
            path.append((node, word))
            child = node.child(word)
            assert child is not None, f"{pattern!r} is not bound"
            node = child
        assert node.ends is not None, f"{pattern!r} is not bound"
        node.ends.remove(destination)
        if not node.ends:
            node.ends = None
        for parent, word in reversed(path):
            if not node.unused:
                break
            parent.set_child(word, None)
            node = parent

    def match(self, key: bytes) -> list[Destinations]:
        """The destinations of all patterns that match, by node."""
        words = words_of(key)
        end = 1 << len(words)
        positions = 2 * end - 1
        # Position i is followed by words[i]; filled when first needed.
        followed_by: dict[bytes, int] = {}
        found: list[Destinations] = []
        visits = 0
        stack = [(self._root, 1)]
        while stack:
            node, at = stack.pop()
            visits += 1
            if at & end and node.ends is not None:
                found.append(node.ends)
            if node.any_words is not None:
                stack.append((node.any_words, positions & -(at & -at)))
            before = at & ~end
            if not before:
                continue
            if node.any_word is not None:
                stack.append((node.any_word, before << 1))
            literals = node.literals
            if not literals:
                continue
            if before & (before - 1) == 0:
                # One position, as always above the first `#`: one look-up.
                child = literals.get(words[before.bit_length() - 1])
                if child is not None:
                    stack.append((child, before << 1))
                continue
            if not followed_by:
                for place, word in enumerate(words):
                    followed_by[word] = followed_by.get(word, 0) | 1 << place
            # By the fewer of the two: words of the key, or words that patterns have here.
            for word in followed_by if len(followed_by) < len(literals) else literals:
                child = literals.get(word)
                here = before & followed_by.get(word, 0)
                if child is not None and here:
                    stack.append((child, here << 1))
        self.visits += visits
        return found
