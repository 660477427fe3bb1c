"""Bounds of the requests about nodes; see `scheduler.api.validate`."""

from __future__ import annotations

from typing import Final

from quorate.runtime.errors import invalid, precondition
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.validate import duration
from scheduler.core.model.rows import Control, NodeRow
from scheduler.core.place_rules import Taint, Toleration
from scheduler.core.values import MAX_TAINTS

# Seconds.
NODE_DRAIN_GRACE: Final = 30.0
MAX_DRAIN_GRACE: Final = 86_400.0


def drain_grace(request: pb.DrainNodeRequest) -> float:
    """Seconds that the attempts of a node have before they are ended."""
    if not request.HasField("grace"):
        return NODE_DRAIN_GRACE
    return duration("grace", request.grace, MAX_DRAIN_GRACE, zero=True)


def refuse_more_taints(control: Control, taint: Taint) -> None:
    """Whether a node cannot have one more by an operator. Raises INVALID_ARGUMENT."""
    if taint not in control.taints and len(control.taints) >= MAX_TAINTS:
        raise invalid(
            "taint",
            f"the node has {MAX_TAINTS} taints already, which is the limit; remove one first",
            limit=MAX_TAINTS,
            value=len(control.taints) + 1,
        )


def refuse_taint_of_agent(row: NodeRow, removed: Toleration) -> None:
    """Whether only its agent has the taint: a call cannot remove it. Raises
    FAILED_PRECONDITION."""
    if (taint := next(filter(removed.covers, row.taints), None)) is not None:
        raise precondition(
            "TAINT_OF_AGENT",
            f"the taint {taint} of node {row.name} is set by its agent; start the agent without it "
            "in --taints",
            field="key",
        )
