"""Reduces of the fake scheduler."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from quorate.client.chunk import load
from quorate.v1 import job_pb2, task_pb2


def run_reduce(job: job_pb2.Job, results: Mapping[int, bytes]) -> task_pb2.TaskError | None:
    """Run the reduce of a job on the results of its subtasks: sets `job.result`.

    Returns why it failed; None where it did not.
    """
    work = job.spec.reduce.template.python
    as_json = work.WhichOneof("arguments") == "json"
    read: Callable[[Any], Any] = json.loads if as_json else pickle.loads
    values = [read(results[at]) if at in results else None for at in range(job.count)]
    try:
        if as_json:
            result = load(work.entrypoint)(values, *json.loads(work.json)["args"])
            job.result.json = json.dumps(result)
        else:
            *head, args, kwargs = pickle.loads(work.pickle)
            call = head[0] if head else load(work.entrypoint)
            job.result.pickle = pickle.dumps(call(values, *args, **kwargs))
    except Exception as failure:  # noqa: BLE001 - it is the outcome
        return task_pb2.TaskError(
            type=type(failure).__qualname__, message=str(failure), pickle=pickle.dumps(failure)
        )
    return None
