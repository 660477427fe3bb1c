"""What the driver needs of the rooms above it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from quorate.etcd.api import Delete, Put
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import InstanceId, NodeName, TaskId
from scheduler.core.model import effects as fx
from scheduler.core.model.rows import TaskRow


class Agents(Protocol):
    """The sessions with the nodes: each message is sent at once, or dropped when the
    session is gone (the inventory of the next one settles it)."""

    def start(self, instance: InstanceId, row: TaskRow, attempt: int) -> None: ...

    def end_attempt(self, instance: InstanceId, task: TaskId, attempt: int) -> None: ...

    def signal(self, instance: InstanceId, task: TaskId, attempt: int, signal: int) -> None: ...

    def suspend(
        self, instance: InstanceId, task: TaskId, attempt: int, suspended: bool
    ) -> None: ...

    def acknowledge(self, instance: InstanceId, task: TaskId, attempt: int) -> None: ...

    def acknowledge_report(
        self, instance: InstanceId, chunk: TaskId, attempt: int, number: int
    ) -> None: ...

    def recall(self, instance: InstanceId, chunk: TaskId, attempt: int) -> None: ...

    def end_subtasks(
        self, instance: InstanceId, chunk: TaskId, attempt: int, ranges: Sequence[tuple[int, int]]
    ) -> None: ...

    def forget_job(self, job: TaskId) -> None: ...

    def drain(self, instance: InstanceId, draining: bool, grace: float) -> None: ...

    def leave(self, instance: InstanceId, scaling_down: bool) -> None: ...

    def revoke(self, node: NodeName, instance: InstanceId, lease: int) -> None: ...


class Encoder(Protocol):
    """Turns what the machine writes into operations on etcd: `scheduler.storage.records.Codec`."""

    def encode(self, writes: Iterable[fx.Write], ops: list[Put | Delete]) -> int: ...

    def encode_purges(self, out: fx.Effects) -> list[Delete]: ...

    def run_record(self, write: fx.PutRun) -> r.RunRecord: ...
