"""Which idle nodes are marked for removal, and how many nodes are reported as wanted meanwhile.

Whoever ends nodes picks them by himself, those that are not ready first. So the number falls in
two steps:

    idle for `idle_seconds`, and nobody asks for it  -> marked: its agent says "not ready"
    marked for `leaving_seconds`                     -> the number falls by it

and each mark is taken back as soon as a trigger needs the node. A node that nobody ended within
`LONGEST` is given up: it is ready again and takes work, and stays counted out until it has had
some. Then somebody else keeps the number of nodes up, and a node that is "not ready" for ever would
only stop roll-outs and alarm people.

Several triggers may scale the same nodes: a node is marked when all that own it can spare it. No
trigger has more of its nodes marked than it has too many.

PURE: the marks are the state's, the rest is `scheduler.autoscaling.scale_down`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from quorate.runtime.ids import InstanceId, NodeName
from scheduler.autoscaling.ask import Ask
from scheduler.autoscaling.plan import NodeSeen, Plan, Seen

# Seconds that a node is marked at most. Longer than the pause after which a HorizontalPodAutoscaler
# ends pods (300 s by default), shorter than the 15 min after which common alerts fire.
LONGEST: Final = 600.0

# Seconds since a node was given up, by its process.
GivenUp = Mapping[InstanceId, float]


@dataclass(frozen=True, slots=True)
class Target:
    """What one trigger asks for, what it sees, and what follows."""

    ask: Ask
    seen: Seen
    plan: Plan

    @property
    def surplus(self) -> int:
        """How many of its nodes may be marked."""
        if not self.ask.leaving_seconds:
            return 0
        return max(0, len(self.seen.nodes) - self.plan.nodes)


@dataclass(frozen=True, slots=True)
class Decision:
    """What changes; `given_up` are among those taken `back`."""

    mark: Sequence[NodeSeen] = ()
    back: Sequence[NodeSeen] = ()
    given_up: Sequence[NodeSeen] = ()


def decide(targets: Sequence[Target], given_up: GivenUp) -> Decision:
    """Which nodes to mark and which marks to take back.

    Marks are kept from the oldest on, so that of too many the newest are taken back; new ones are
    for nodes that an operator closed, then for those idle longest.
    """
    nodes: dict[NodeName, NodeSeen] = {}
    owners: dict[NodeName, list[int]] = {}
    for number, target in enumerate(targets):
        for node in target.seen.nodes:
            nodes[node.name] = node
            owners.setdefault(node.name, []).append(number)
    room = [target.surplus for target in targets]
    spare = [frozenset(target.plan.spare) for target in targets]
    mark, back, dropped = [], [], []
    for node in sorted(nodes.values(), key=lambda node: _turn(node, given_up)):
        of = owners[node.name]
        agreed = all(room[number] and node.name in spare[number] for number in of)
        if agreed:
            for number in of:
                room[number] -= 1
        if node.marked is not None:
            if not agreed:
                back.append(node)
            elif node.marked > LONGEST:
                back.append(node)
                dropped.append(node)
        elif agreed and not node.draining and not _is_given_up(node, given_up):
            mark.append(node)
    return Decision(mark, back, dropped)


def number(target: Target, given_up: GivenUp) -> int:
    """How many nodes to report as wanted: those too many count until they can be distinguished."""
    ask, nodes = target.ask, target.seen.nodes
    if not ask.leaving_seconds:
        return target.plan.nodes
    going = sum(1 for node in nodes if _goes(node, ask, given_up))
    return min(max(target.plan.nodes, len(nodes) - going), ask.max_nodes)


def _goes(node: NodeSeen, ask: Ask, given_up: GivenUp) -> bool:
    if node.held:
        return False
    if node.marked is not None:
        return node.marked >= ask.leaving_seconds
    return node.draining or _is_given_up(node, given_up)


def _is_given_up(node: NodeSeen, given_up: GivenUp) -> bool:
    """Whether it was, and has had no work since."""
    since = given_up.get(node.instance)
    return since is not None and node.idle >= since


def _turn(node: NodeSeen, given_up: GivenUp) -> tuple[object, ...]:
    """Those that go anyway first: they use up what there is too much of."""
    goes = node.marked is not None or node.draining or _is_given_up(node, given_up)
    return not goes, -(node.marked or 0.0), node.open, -node.idle, node.name
