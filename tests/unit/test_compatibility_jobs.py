"""Records of jobs that a newer scheduler wrote keep what this one does not know of them."""

from __future__ import annotations

from typing import Any

from quorate.etcd.api import Delete, Put
from quorate.runtime.ids import InstanceId, TaskId
from quorate.v1 import job_pb2
from scheduler.core.machine import Machine
from scheduler.core.model import events as e
from scheduler.core.model.limits.bounds import Limits
from scheduler.storage import records
from scheduler.storage.replica.fold import Fold
from tests.support.next_release import FIELD, NOTE, classes, fill, following, present

NEXT = classes(following(present()))
INTERNAL = "quorate.internal.v1."
BEGAN = 1_700_000_000.0
JOB, CHUNK = TaskId("1" * 32), TaskId("2" * 32)
INSTANCE = InstanceId("i1")


def newer(kind: str, **fields: Any) -> bytes:
    """A record as the next version writes it, with its added field set."""
    message = NEXT[INTERNAL + kind](**fields)
    fill(message)
    return bytes(message.SerializeToString())


def test_jobs_blocks_and_chunks_keep_what_a_newer_scheduler_wrote() -> None:
    fold = Fold()
    spec = job_pb2.JobSpec(count=5)
    spec.template.command.argv.append("true")
    chunk = {"queue": "q", "node": "n", "instance": INSTANCE, "attempt": 1, "assign_time": BEGAN}
    left = [{"first": 1, "last": 4}]
    for key, value in (
        ("queues/q", newer("QueueRecord", name="q", create_time=BEGAN)),
        (
            f"jobs/q/{JOB}",
            newer("JobRecord", spec=spec.SerializeToString(), state=1, create_time=BEGAN, count=5),
        ),
        (f"job-blocks/{JOB}/0000", newer("JobBlockRecord", succeeded=b"\x01")),
        (
            f"chunks/{JOB}/{CHUNK}",
            newer("ChunkRecord", left=left, **chunk),
        ),
    ):
        fold.put(key.encode(), value, 1)
    machine, codec = Machine(fold.state, Limits()), records.Codec(b"", fold.state)
    report = e.ChunkReported(INSTANCE, CHUNK, 1, 1, [(1, 2)], [], [], [], 0.1)
    ops: list[Put | Delete] = []
    codec.encode(machine.step(report, BEGAN + 1.0).writes, ops)
    written = {op.key.decode(): op.value for op in ops if isinstance(op, Put)}
    for kind, key in (
        ("JobRecord", f"jobs/q/{JOB}"),
        ("JobBlockRecord", f"job-blocks/{JOB}/0000"),
        ("ChunkRecord", f"chunks/{JOB}/{CHUNK}"),
    ):
        again = NEXT[INTERNAL + kind].FromString(written[key])
        assert getattr(again, FIELD) == NOTE, kind
