"""The table of transitions is what moves tasks: nothing else does, and other moves are reported."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import structlog

from quorate.internal.v1 import records_pb2 as r
from scheduler.core.model import transitions
from scheduler.core.model.invariants import check
from scheduler.core.model.rows import NO_INSTANCE, NOBODY
from scheduler.core.model.transitions import TRANSITIONS
from scheduler.core.values import FINISHED, TaskSpec, TaskState
from scheduler.storage import keys
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec

ROOT = Path(__file__).resolve().parents[2]
TABLE = "scheduler/core/model/transitions.py"


def test_a_move_that_is_not_in_the_table_is_reported_and_breaks_the_invariants():
    c = Cluster()
    row = c.row(c.submit())
    transitions.finish(c.state, row, TaskState.SUCCEEDED, c.now)
    assert c.state.illegal_moves == [(row.id, TaskState.PENDING, TaskState.SUCCEEDED)]
    with pytest.raises(AssertionError, match="PENDING"):
        check(c.state)


def test_a_task_that_succeeded_is_not_retried_by_hand_unnoticed():
    c = Cluster()
    task = c.submit()
    c.node("n1").succeed(task)
    done = c.state.finished[task]
    transitions.reopen(c.state, done, TaskSpec(b""), c.now, "")
    assert c.state.illegal_moves == [(task, TaskState.SUCCEEDED, TaskState.PENDING)]


def test_a_standby_logs_a_record_that_no_transitions_lead_to():
    log = Log()
    c = Cluster(log=log)
    task = c.submit()
    log.flush()
    # Of a live task there is no such record: some transitions lead to each state. As if there were.
    log.fold.state.illegal_moves.append((task, TaskState.PENDING, TaskState.BLOCKED))
    record = r.RunRecord(state=int(TaskState.PAUSED), attempt=1)  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as logs:
        log.fold.put(keys.run_key("default", task), record.SerializeToString(), log.revision + 1)
    assert {"task": task, "before": "PENDING", "after": "BLOCKED"}.items() <= logs[0].items()
    assert logs[0]["log_level"] == "error"
    assert not log.fold.state.illegal_moves


@pytest.mark.parametrize("after", list(TaskState))
@pytest.mark.parametrize("before", [TaskState.SCHEDULED, TaskState.PENDING, TaskState.RUNNING])
def test_a_record_may_stand_for_several_transitions_but_for_none_that_are_not_in_the_table(
    before, after
):
    reached: set[TaskState] = set()
    while more := {b for a, b in TRANSITIONS if a in {before, *reached}} - reached:
        reached |= more
    c = Cluster()
    if before is TaskState.RUNNING:
        c.node("n1")
    later = c.now + 60.0 if before is TaskState.SCHEDULED else 0.0
    row = c.row(c.submit(spec(not_before=later)))
    assert row.state is before
    if after in FINISHED:
        final = transitions.FinalStatus(after, 1, NO_INSTANCE, 0.0, c.now)
        transitions.apply_final_status(c.state, row, final)
    else:
        nowhere = (NOBODY, NO_INSTANCE, 0.0, 0.0, 0.0, False, (), 0.0, None, b"")
        transitions.apply_status(c.state, row, transitions.Status(after, 1, 0, 0, *nowhere))
    assert c.state.illegal_moves == ([] if after in reached else [(row.id, before, after)])


# The state itself, and what takes a task out of its lane and puts it into another one.
STATES = ("scheduler/core/model/state.py", "scheduler/core/model/limits/pauses.py")


def test_nothing_but_the_transitions_changes_the_state_of_a_task():
    found = []
    for path in sorted((ROOT / "scheduler").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name == TABLE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("move", "revive", "new_row")
                # Those of the state: what else can be moved is no state of a task.
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in ("state", "self")
            ):
                found.append(f"{name}:{node.lineno}: {node.func.attr}()")
            if not isinstance(node, ast.Assign) or name in STATES:
                continue
            for target in node.targets:
                if (
                    isinstance(target, ast.Attribute)
                    and target.attr == "state"
                    and isinstance(target.value, ast.Name)
                    and target.value.id in ("row", "done", "task")
                ):
                    found.append(f"{name}:{node.lineno}: {target.value.id}.state = ...")
    assert found == []
