"""Tasks of graphs as watchers see them when they are created."""

from __future__ import annotations

import pytest

from quorate.internal.v1 import records_pb2 as r
from quorate.v1 import task_pb2
from scheduler.api.tasks import views

TASK = "0" * 31 + "1"


@pytest.mark.parametrize(
    ("edges", "state"),
    [([], task_pb2.TASK_STATE_PENDING), ([2], task_pb2.TASK_STATE_BLOCKED)],
)
def test_a_task_that_waits_for_others_is_created_blocked(edges, state):
    record = r.TaskRecord(create_time=1.0)
    record.member.job, record.member.name = "0" * 32, "load"
    record.member.depends_on.extend(edges)
    view = views.task("q", TASK, record, None, now=2.0, full=False)
    assert (view.state, view.job_id, view.graph_task) == (state, "0" * 32, "load")
