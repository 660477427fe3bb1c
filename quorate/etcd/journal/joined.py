"""Writes whose value is made of what several events add: a chunk of messages, acknowledgements.

    append_joined -> addition -> | joined write of the open batch | -- sealed --> Put, Put, ...

A batch keeps the last write of a key, so events that put to one key would lose all but one. Events
that *add* to it are joined instead: the first addition of a batch begins a joined write, later ones
grow it, and it becomes plain writes once, when the journal takes its batch out to commit it. All
copies of the Txn that the network may see hold these same writes.

A joined write is made of its additions alone. When it is sealed, memory may be further: events that
will be in a later batch may have been decided. So an addition holds values, and never looks at
state.

Nothing here knows what is added: the broker has chunks and acknowledgements of its own kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from quorate.etcd.api import Delete, Put


class Addition(ABC):
    """What one event adds to a joined write. Immutable once it is appended.

    Attributes:
        place: which joined write it belongs to: additions of one batch with the same place are
            joined, in the order in which they were appended.
    """

    __slots__ = ()

    place: bytes

    @abstractmethod
    def begin(self, additions: Sequence[Any]) -> Joined[Any]:
        """The joined write of a batch that had none for this place.

        Args:
            additions: those of one event, in order; the first one is this one. They are not
                refused: what does not fit under one key goes under several.

        Has no effect that anybody sees: the journal may drop what it returns.
        """


A = TypeVar("A", bound=Addition)


class Joined(ABC, Generic[A]):
    """One joined write of one batch, which owns it.

    Attributes:
        keys: the keys that it may write, fixed when it begins. No other write of its Txn touches
            them.
        weight: bytes of its writes in a request so far, as `batch.weigh` counts them, or more.
    """

    __slots__ = ("keys", "weight")

    def __init__(self, keys: Sequence[bytes], weight: int) -> None:
        self.keys = keys
        self.weight = weight

    @abstractmethod
    def growth(self, additions: Sequence[A]) -> int | None:
        """Bytes that the additions of one more event would add. None: it is full for them.

        The batch is sealed then, and they begin the joined write of the next one.
        """

    @abstractmethod
    def add(self, additions: Sequence[A]) -> None:
        """Take the additions of one event, for which `growth` has just said that they fit.

        `weight` grows by as much as it said.
        """

    @abstractmethod
    def seal(self) -> Sequence[Put | Delete]:
        """The writes, of single keys, each of them one of `keys`. Called once."""

    def committed(self, revision: int) -> None:
        """Called once, when the writes are known committed, before the batch's after-effects.

        Must not raise. It is not called when the journal ends first.
        """
