"""Joined writes for tests of the journal: words that events add to one key, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.batch import WRITE_OVERHEAD
from quorate.etcd.journal.joined import Addition, Joined
from tests.support.term import PREFIX


@dataclass
class Sealed:
    """What happened to the joined writes of a test."""

    writes: list[list[Put | Delete]] = field(default_factory=list)
    committed: list[tuple[bytes, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Word(Addition):
    """A word for the list of one key.

    Attributes:
        most: words that one value holds.
        numbered: the key is `<place>/<first word>`, and words beyond `most` go to further keys:
            as chunks of messages do. Else the last word alone is written: as acknowledgements are.
    """

    place: bytes
    word: bytes
    sealed: Sealed
    most: int = 1_000
    numbered: bool = False

    def begin(self, additions: Sequence[Word]) -> Joined[Word]:
        return Chapter(additions) if self.numbered else Page(additions)


class Page(Joined[Word]):
    """All words, joined by spaces, under the key of the place."""

    __slots__ = ("sealed", "words")

    def __init__(self, additions: Sequence[Word]) -> None:
        super().__init__((PREFIX + additions[0].place,), 0)
        self.weight = WRITE_OVERHEAD + len(self.keys[0])
        self.sealed = additions[0].sealed
        self.words: list[bytes] = []
        self.add(additions)

    def growth(self, additions: Sequence[Word]) -> int | None:
        if len(self.words) + len(additions) > additions[0].most:
            return None
        return sum(len(addition.word) + 1 for addition in additions)

    def add(self, additions: Sequence[Word]) -> None:
        self.weight += sum(len(addition.word) + 1 for addition in additions)
        self.words += [addition.word for addition in additions]

    def seal(self) -> Sequence[Put | Delete]:
        writes: list[Put | Delete] = [Put(self.keys[0], b" ".join(self.words))]
        self.sealed.writes.append(writes)
        return writes

    def committed(self, revision: int) -> None:
        self.sealed.committed.append((self.keys[0].removeprefix(PREFIX), revision))


class Chapter(Page):
    """At most `most` words a key; the additions that begin it may need several keys."""

    __slots__ = ("most",)

    def __init__(self, additions: Sequence[Word]) -> None:
        super().__init__(additions)
        self.most = most = additions[0].most
        self.keys = tuple(
            PREFIX + additions[0].place + b"/" + addition.word for addition in additions[::most]
        )
        self.weight += sum(WRITE_OVERHEAD + len(key) for key in self.keys)

    def growth(self, additions: Sequence[Word]) -> int | None:
        if len(self.words) + len(additions) > self.most * len(self.keys):
            return None
        return sum(len(addition.word) + 1 for addition in additions)

    def seal(self) -> Sequence[Put | Delete]:
        writes: list[Put | Delete] = [
            Put(key, b" ".join(self.words[number * self.most : (number + 1) * self.most]))
            for number, key in enumerate(self.keys)
        ]
        self.sealed.writes.append(writes)
        return writes
