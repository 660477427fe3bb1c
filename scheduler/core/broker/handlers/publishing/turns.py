"""Whose turn it is: publishes of one producer, or of one stream, are stepped in their order.

    comes --nothing of its producer is under way--> stepped --whole--> done
      |                                                |
      '--waits <--(another one is under way)           '--in parts, or it waits for bodies: `hold`
           |                                                 |
           '<-----------------(its turn)------ `go_on` <-----'(all of it is stepped)

Otherwise the number of a producer could be on record before all parts of the publish before it are,
and after a crash between the two those would count as settled.

Bounded by what callers may have under way: each event that waits here is one that a caller waits
for, or one within the window of a stream.
"""

from __future__ import annotations

from collections import deque

from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.state import BrokerState


def waits(state: BrokerState, turn: str, resumed: object) -> bool:
    """Whether an event has to wait for one before it; `resumed` is stepped when its turn comes.

    Args:
        turn: the producer or stream; empty: its events need no order.
    """
    waiting = state.publishing.get(turn) if turn else None
    if waiting is None:
        return False
    waiting.append(resumed)
    return True


def hold(state: BrokerState, turn: str) -> None:
    """An event is not all stepped yet: others of its turn wait."""
    if turn:
        state.publishing.setdefault(turn, deque())


def go_on(state: BrokerState, turn: str, out: BrokerEffects) -> None:
    """All of an event is stepped: the next one of its turn goes on, if any waits."""
    waiting = state.publishing.get(turn)
    if waiting:
        out.then.append(waiting.popleft())
    elif waiting is not None:
        del state.publishing[turn]
