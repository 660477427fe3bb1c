"""The results of an array in a graph as an input of another task: a list, in the order of the
indexes.

Read once the array has succeeded, when nothing of it changes any more. Bounds: those of any input
(`scheduler.agents.inputs`); reading ends when they are passed.
"""

from __future__ import annotations

import json
import pickle
from typing import Any, Final

from quorate.etcd.api import Etcd
from quorate.etcd.paging import pages
from quorate.internal.v1 import jobs_pb2 as r
from quorate.v1 import job_pb2, task_pb2
from scheduler.agents.inputs import MOST_BYTES, TOO_LARGE, InputError
from scheduler.core.model.rows import JobRow
from scheduler.core.values import JobState
from scheduler.storage import keys

# What an entry takes at least, as JSON: "0,".
_LEAST: Final = 2


class _Pickled:
    """A value that is unpickled with the list that it is in, and not here."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self._data,)


async def list_of(
    array: JobRow, name: str, etcd: Etcd, prefix: bytes
) -> task_pb2.TaskResult | None:
    """The results of all subtasks as one; None where the array has not succeeded.

    Raises:
        EtcdError: etcd does not answer.
        InputError: they are too large.
    """
    if array.state is not JobState.SUCCEEDED:
        return None
    count = array.array.count
    if count * _LEAST > MOST_BYTES:
        raise _too_large(name)
    if array.spec.programs:
        return task_pb2.TaskResult(json=f"[{','.join(['0'] * count)}]")
    values: list[tuple[int, bytes] | None] = [None] * count
    size = 0
    async for page in pages(etcd, prefix + keys.JOB_RESULTS + f"{array.id}/".encode()):
        for kv in page.kvs:
            for run in r.JobResultsRecord.FromString(kv.value).runs:
                for place, value in enumerate(run.values, run.first):
                    if value and place < count:
                        values[place] = int(run.kind), value
                        size += len(value)
        if size > MOST_BYTES:
            raise _too_large(name)
    if any(one is not None and one[0] == job_pb2.ResultRun.KIND_PICKLE for one in values):
        return task_pb2.TaskResult(pickle=pickle.dumps([_value(one) for one in values], protocol=5))
    texts = ["null" if one is None else one[1].decode() for one in values]
    return task_pb2.TaskResult(json=f"[{','.join(texts)}]")


def _value(one: tuple[int, bytes] | None) -> object:
    if one is None:
        return None
    kind, data = one
    return _Pickled(data) if kind == job_pb2.ResultRun.KIND_PICKLE else json.loads(data)


def _too_large(name: str) -> InputError:
    return InputError(
        TOO_LARGE,
        f"the results of array {name!r} have more than {MOST_BYTES} bytes together; let the task "
        "read them by the array's id",
    )
