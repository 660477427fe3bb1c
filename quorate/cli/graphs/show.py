"""How graphs look in a terminal. No I/O.

A graph of up to 40 tasks is shown whole, in the order of its spec. Of a larger one at most 40 are
shown, those that need attention (first what failed, runs or waits for a slot); the rest is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import typer
from rich.text import Text

from quorate.cli.output import render
from quorate.cli.output.listing import Listing, one_line
from quorate.client.tracking.outcome import value_name
from quorate.runtime.sizes import plural
from quorate.v1 import job_pb2, task_pb2

# Tasks of a graph that are shown without being asked for.
SHOWN: Final = 40
SKIPPED: Final = "SKIPPED"
# Names of dependencies that a line has.
_NAMED: Final = 3
_WORDS: Final = {
    job_pb2.DEPENDENCY_CONDITION_ON_FAILURE: " (to fail)",
    job_pb2.DEPENDENCY_CONDITION_ALWAYS: " (to end)",
    job_pb2.DEPENDENCY_CONDITION_EACH: " (each)",
}
_FINISHED: Final = frozenset(
    (
        task_pb2.TASK_STATE_SUCCEEDED,
        task_pb2.TASK_STATE_FAILED,
        task_pb2.TASK_STATE_CANCELLED,
        task_pb2.TASK_STATE_EXPIRED,
    )
)
# Those that need attention first.
ORDER: Final = (
    *("FAILED", "EXPIRED", "CANCELLED", "RUNNING", "PENDING", "SCHEDULED"),
    *("PAUSED", "BLOCKED", SKIPPED, "SUCCEEDED"),
)
_CALM: Final = (SKIPPED, "SUCCEEDED")
Nodes = Sequence[job_pb2.GraphNode]


def is_graph(job: job_pb2.Job) -> bool:
    """Whether a job is a graph, and no array."""
    return job.spec.HasField("graph")


def state_of(node: job_pb2.GraphNode) -> str:
    """A task's state as the documentation writes it; SKIPPED where a condition cannot hold."""
    if node.skipped:
        return SKIPPED
    return value_name(task_pb2.TaskState.DESCRIPTOR, node.state, "TASK_STATE_")


def waits_for(node: job_pb2.GraphNode, nodes: Nodes) -> str:
    """Of a BLOCKED task the unfinished ones that it waits for; of a SKIPPED one why it is."""
    if node.skipped:
        return next((why for edge in node.depends_on if (why := _unmet(edge, nodes))), "-")
    if node.state != task_pb2.TASK_STATE_BLOCKED:
        return "-"
    open_edges = [edge for edge in node.depends_on if nodes[edge.node].state not in _FINISHED]
    names = [
        one_line(nodes[edge.node].name) + _WORDS.get(edge.condition, "")
        for edge in open_edges[:_NAMED]
    ]
    if len(open_edges) > _NAMED:
        names.append(f"{len(open_edges) - _NAMED:,} more")
    # All of them are finished while the job is paused, or still being created.
    return ", ".join(names) or "-"


def _unmet(edge: job_pb2.GraphEdge, nodes: Nodes) -> str:
    """`load, which is FAILED` of a dependency that can no longer hold; else empty."""
    other = nodes[edge.node]
    state = other.state
    if edge.condition == job_pb2.DEPENDENCY_CONDITION_ALWAYS or state not in _FINISHED:
        return ""
    if edge.condition == job_pb2.DEPENDENCY_CONDITION_EACH and other.counts.succeeded:
        return ""
    if edge.condition == job_pb2.DEPENDENCY_CONDITION_ON_FAILURE:
        holds = state in (task_pb2.TASK_STATE_FAILED, task_pb2.TASK_STATE_EXPIRED)
    else:
        holds = state == task_pb2.TASK_STATE_SUCCEEDED
    return "" if holds else f"{one_line(other.name)}, which is {state_of(other)}"


def states(names: Sequence[str]) -> tuple[str, ...]:
    """The states that the options --state name. Raises BadParameter."""
    found = tuple(name.strip().upper() for name in names)
    for name in found:
        if name not in ORDER:
            known = ", ".join(state.lower() for state in ORDER)
            raise typer.BadParameter(f"--state: {name.lower()!r} is not a state; there are {known}")
    return found


def chosen(nodes: Nodes, states: Sequence[str] = (), most: int = SHOWN) -> Nodes:
    """Those of `states` (all: none named), at most `most`; of more the ones that matter first."""
    found = [node for node in nodes if not states or state_of(node) in states]
    if len(found) <= most:
        return found
    rank = {state: place for place, state in enumerate(ORDER)}
    found = [node for node in found if state_of(node) not in _CALM]
    return sorted(found, key=lambda node: rank.get(state_of(node), 0))[:most]


def table_of(shown: Nodes, nodes: Nodes) -> Listing:
    """Some tasks of a graph, a line each."""
    # Only of tasks on nodes it is known.
    on_nodes = any(node.node for node in shown)
    listing = render.table(
        *("TASK", "STATE", "WAITS FOR", *(["NODE"] if on_nodes else []), "ID"),
        short={"ID": render.short_ids},
        elastic=("WAITS FOR", "TASK"),
        drop=("NODE", "ID"),
    )
    for node in shown:
        state = state_of(node)
        style = "dim" if state == SKIPPED else render.state_text(state).style
        listing.add_row(
            one_line(node.name) + done_of(node) + (" *" if node.cleanup else ""),
            Text(state, style=style),
            waits_for(node, nodes),
            *([node.node or "-"] if on_nodes else []),
            id_of(node),
        )
    return listing


def id_of(node: job_pb2.GraphNode) -> str:
    """The id of a task; of an array, as a job."""
    return node.job_id or node.task_id


def done_of(node: job_pb2.GraphNode) -> str:
    """` [3/10]` of an array: how many of its subtasks are finished; else nothing."""
    if not node.job_id:
        return ""
    counts = node.counts
    return f" [{counts.succeeded + counts.failed + counts.cancelled:,}/{node.count:,}]"


def why_failed(node: job_pb2.GraphNode) -> str:
    """One phrase about an array that failed."""
    failed, skipped = node.counts.failed, node.counts.cancelled
    if not failed:
        return f"{plural(skipped, 'subtask')} skipped"
    return f"{failed:,} of {plural(node.count, 'subtask')} failed"


def counted(nodes: Nodes) -> str:
    """`9,000 blocked, 960 succeeded`"""
    counts = Counter(state_of(node) for node in nodes)
    known = [*ORDER, *(state for state in counts if state not in ORDER)]
    return ", ".join(f"{counts[state]:,} {state.lower()}" for state in known if counts[state])


def rest_of(shown: Nodes, nodes: Nodes) -> str:
    """What is not shown, counted."""
    places = {id(node) for node in shown}
    return counted([node for node in nodes if id(node) not in places])
