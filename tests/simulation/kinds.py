"""The kinds of worlds that seeds play: each a cluster with other work, all with the same faults.

One history cannot have all of it: where everything happens, little of each does. A seed's kind
follows from its number, so `make sim` plays all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from tests.simulation.broker.bound import Bound
from tests.simulation.broker.world import Messages
from tests.simulation.world import CLOCKS_AHEAD, CLOSE_CLOCKS, FAR_CLOCKS, ONE_CLOCK, World
from tests.support.jumping_loop import JumpingLoop

# What goes wrong in worlds that are about one thing.
FAULTS: Final = {
    "break_session": 2,
    "kill_agent": 1,
    "cut_off_agent": 0.5,
    "kill_leader": 1.2,
    "depose_leader": 1.2,
    "lose_etcd": 0.4,
    "compact": 0.5,
}


class Graphs(World):
    """Graphs, with tasks that their tasks add, and a few others between them; unique keys."""

    adds = 0.15
    unique = 0.4
    graph_keys = 0.1
    outcomes: ClassVar[dict[str, float]] = {
        "": 75,
        "ValueError": 12,
        "Fatal": 5,
        "RETURN": 5,
        "SNOOZED": 2,
        "CANCELLED": 1,
    }
    weights: ClassVar[dict[str, float]] = {
        **FAULTS,
        "submit": 2,
        "submit_graph": 8,
        "control_graph": 4,
        "cancel_some": 1,
        "retry_some": 3,
        "delete_some": 1,
        "pause_queue": 0.3,
        "resume_queue": 1,
        "nothing": 60,
    }


class Arrays(World):
    """Arrays, many of them reduced, with tasks that their subtasks add; some subtasks are cancelled
    and retried by themselves."""

    adds = 0.1
    weights: ClassVar[dict[str, float]] = {
        **FAULTS,
        "submit": 2,
        "submit_job": 5,
        "append_items": 2,
        "control_job": 4,
        "control_subtask": 6,
        "pause_queue": 0.3,
        "resume_queue": 1,
        "change_limits": 1,
        "nothing": 60,
    }


class Placing(World):
    """Tasks that choose nodes, on nodes with taints, some of which know less; pauses of labels."""

    ruled = 0.7
    old = 0.3
    reserve_after = 0.5
    weights: ClassVar[dict[str, float]] = {
        **FAULTS,
        "submit": 14,
        "submit_job": 1,
        "change_service": 2,
        "cancel_some": 2,
        "taint_node": 4,
        "control": 1,
        "pause_matching": 5,
        "retry_some": 1,
        "update_some": 1,
        "mark": 1,
        "nothing": 50,
    }


class Changing(World):
    """Tasks that are moved, updated, suspended, snoozed, retried in numbers; unique keys."""

    suspends = True
    unique = 0.5
    windows = True
    outcomes: ClassVar[dict[str, float]] = {
        "": 60,
        "ValueError": 20,
        "Fatal": 8,
        "RETURN": 5,
        "SNOOZED": 6,
        "CANCELLED": 1,
    }
    weights: ClassVar[dict[str, float]] = {
        **FAULTS,
        "submit": 14,
        "cancel_some": 2,
        "retry_some": 6,
        "delete_some": 0.5,
        "update_some": 3,
        "move_some": 5,
        "pause_task": 5,
        "resume_task": 4,
        "pause_queue": 0.5,
        "resume_queue": 1.5,
        "change_limits": 1,
        "nothing": 50,
    }

    def __init__(self, seed: int, loop: JumpingLoop) -> None:
        super().__init__(seed, loop)
        if self.clocks_ahead == CLOCKS_AHEAD:
            self.clocks_ahead = FAR_CLOCKS


class Limited(World):
    """A busy queue with limits that people change; leaders have one clock."""

    weights: ClassVar[dict[str, float]] = {
        **World.weights,
        "submit": 14,
        "change_service": 0,
        "change_limits": 4,
        "retry_some": 4,
        "kill_leader": 1.5,
        "depose_leader": 1.5,
    }

    def __init__(self, seed: int, loop: JumpingLoop) -> None:
        super().__init__(seed, loop)
        self.clocks_ahead = ONE_CLOCK


class Scheduled(World):
    """Four schedules that people pause and resume."""

    weights: ClassVar[dict[str, float]] = {
        **World.weights,
        "submit": 3,
        "change_service": 0,
        "create_schedules": 20,
        "change_schedule": 6,
    }

    def __init__(self, seed: int, loop: JumpingLoop) -> None:
        super().__init__(seed, loop)
        self.clocks_ahead = CLOSE_CLOCKS


# Half of the seeds play a bit of everything.
KINDS: Final[Sequence[type[World]]] = (
    *(World, Graphs, World, Arrays, World, Placing, World, Changing),
    *(World, Limited, World, Scheduled, World, Messages, World, Bound),
)
BY_NAME: Final = {kind.__name__.lower(): kind for kind in KINDS}


def kind_of(seed: int) -> type[World]:
    """What a seed plays."""
    return KINDS[seed % len(KINDS)]
