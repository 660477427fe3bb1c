"""A process that the spawner started for an attempt or a worker."""

from __future__ import annotations

from node_agent.spawner.outputs.progress import ProgressPipe
from node_agent.spawner.outputs.pump import Output
from node_agent.spawner.outputs.worker_pipes import WorkerOutputs


class Process:
    """One process group leader."""

    __slots__ = (
        "cgroup",
        "key",
        "lane",
        "of_chunk",
        "output",
        "progress",
        "running_since",
        "scratch",
        "started",
    )

    def __init__(
        self,
        key: int,
        lane: int,
        scratch: str,
        cgroup: str,
        output: Output | WorkerOutputs,
        started: float,
        running_since: float,
        progress: ProgressPipe | None = None,
    ) -> None:
        self.key = key
        self.output = output
        self.progress = progress
        # Of a program; -1 of a worker, which does not keep programs of its lane waiting.
        self.lane = lane
        self.scratch = scratch
        # Its directory, or "".
        self.cgroup = cgroup
        self.started = started
        self.running_since = running_since
        # One of many that are sent far ahead (see `exits`).
        self.of_chunk = isinstance(output, Output) and bool(output.frame)
