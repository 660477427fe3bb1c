"""What must hold after every step. Checked in tests and simulation, never in production."""

from __future__ import annotations

from scheduler.core.model.jobs.invariants import check_jobs
from scheduler.core.model.state import State
from scheduler.core.values import DEAD, FINISHED, TaskState


def check(state: State) -> None:
    """Raise AssertionError naming the first broken invariant."""
    assert not state.illegal_moves, state.illegal_moves
    by_queue = {name: [0] * len(queue.counts) for name, queue in state.queues.items()}
    for task, row in state.tasks.items():
        assert row.id == task
        assert row.state not in FINISHED, f"{task} is live and {row.state.name}"
        assert task not in state.finished, f"{task} is live and finished"
        assert state.queues.get(row.queue.name) is row.queue, f"{task} is in a deleted queue"
        by_queue[row.queue.name][row.state] += 1
        running = row.state is TaskState.RUNNING
        assert running == bool(row.instance), f"{task} is {row.state.name} on {row.instance!r}"
        if not running:
            times = (row.node, row.assign_time, row.start_time)
            assert not any(times), f"{task} is on no node: {times}"
        if running:
            assert state.allocations[row.instance].rows.get(task) is row, f"{task} is not held"
        assert not (row.state is TaskState.PENDING and row.cancel_requested)
        assert row.crashes < row.retry.crash_limit
        assert row.failures < row.retry.max_attempts
    for task, done in state.finished.items():
        assert done.id == task
        assert done.state in FINISHED
        by_queue[done.queue.name][done.state] += 1
    dead = {task: group.id for group in state.dead.groups() for task in group.rows}
    for task, done in state.finished.items():
        assert (done.dead is not None) == (done.state in DEAD), task
        assert done.dead is None or dead.pop(task) == done.dead.id, task
    assert not dead, f"dead letters that are no more: {dead}"
    for name, counts in by_queue.items():
        queue = state.queues[name]
        assert counts == queue.counts, f"{name}: counted {counts}, kept {queue.counts}"
        assert queue.pending.size == counts[TaskState.PENDING] + len(queue.entries)
        assert (state.waiting.get(name) is queue) == bool(queue.pending.size)
        assert queue.index.size == sum(counts), f"{name}: index {queue.index.size}, {counts}"
    expiring = sum(r.expires and r.state is TaskState.PENDING for r in state.tasks.values())
    assert state.deadlines.waiting == expiring, f"{state.deadlines.waiting} for {expiring}"
    check_jobs(state)
    _check_schedules(state)
    _check_usage(state)
    _check_permits(state)
    for instance, allocation in state.allocations.items():
        for task, row in allocation.rows.items():
            assert (state.tasks if row.chunk is None else state.chunks).get(task) is row
            assert row.instance == instance
        assert allocation.cpu >= -1e-6
        assert abs(allocation.cpu - sum(r.needs.cpu for r in allocation.rows.values())) < 1e-6
        assert allocation.memory == sum(r.needs.memory for r in allocation.rows.values())
    for node in state.nodes.values():
        assert node.allocation is state.allocation(node.instance)
    for leaver, mark in state.scaling_down.items():
        there = state.nodes.get(leaver)
        assert there is not None, f"{leaver} is leaving and not there"
        assert there.instance == mark.instance, f"{leaver}: another process is leaving"
        assert not there.allocation.rows, f"{leaver} is leaving and holds work"
    live_spec = sum(len(r.spec) for r in state.tasks.values() if r.spec is not None)
    assert live_spec == state.spec_bytes
    assert len(state.waiting) == sum(1 for q in state.queues.values() if q.pending.size)
    assert sum(state.answers.values()) == len(state.dedup)
    assert len(state.dedup) <= len(state.dedup_line) <= 2 * len(state.dedup) + 300


def _check_turns(state: State) -> None:
    """Of each ordering key one task at most runs. Others that are to be retried have the turn, too:
    those that a caller moved to this queue, or put off, while another one ran; and on a standby
    those whose time has come: the leader has had them wait in line since.
    """
    taken: dict[tuple[str, str], int] = {}
    running: dict[tuple[str, str], int] = {}
    waiting: dict[tuple[str, str], int] = {}
    for row in state.tasks.values():
        key = row.limits.ordering if row.limits is not None else ""
        if not key:
            continue
        again = row.failures > 0 or row.snoozed
        retried = row.state is TaskState.SCHEDULED and again
        assert row.has_turn == (row.state is TaskState.RUNNING or retried), row.id
        of = row.queue.name, key
        taken[of] = taken.get(of, 0) + row.has_turn
        running[of] = running.get(of, 0) + (row.state is TaskState.RUNNING)
        waiting[of] = waiting.get(of, 0) + (row.state is TaskState.PENDING)
    for name, queue in state.queues.items():
        for key, count in queue.turns_taken.items():
            assert taken[name, key] == count, f"{count} tasks of {key!r} have the turn"
            assert running[name, key] <= 1, f"{running[name, key]} tasks of {key!r} run"
        for key, line in queue.lines.items():
            assert waiting[name, key] == len(line.tasks), f"{key!r}: {line.tasks}"


def _check_permits(state: State) -> None:
    """Permits of limits, counted anew; each task holds the permits of its limits while it runs."""
    running: dict[str, int] = {}
    live: dict[str, int] = {}
    by_key: dict[tuple[str, str], int] = {}
    for row in state.tasks.values():
        runs = row.state is TaskState.RUNNING
        assert runs or not row.share, f"{row.id} is {row.state.name} and is charged"
        assert runs or not row.charged, f"{row.id} is {row.state.name} and has taken starts"
        if row.limits is None:
            continue
        if unique := row.limits.unique:
            *before, last = row.queue.unique[unique]
            assert row.id in (*before, last), f"{row.id} has lost its unique key"
            for other in before:
                replaced = state.tasks[other]
                ends = replaced.cancel_requested and replaced.state is TaskState.RUNNING
                assert ends, f"{other} and {last} have the same unique key"
        for name in row.limits.shared:
            live[name] = live.get(name, 0) + 1
            if runs:
                running[name] = running.get(name, 0) + 1
        if runs and row.limits.key:
            key = row.queue.name, row.limits.key
            by_key[key] = by_key.get(key, 0) + 1
    for chunk in state.chunks.values():
        assert chunk.job is not None
        assert chunk.limits == chunk.job.spec.limits, f"{chunk.id} holds other permits"
        if chunk.limits is not None:
            for name in chunk.limits.shared:
                running[name] = running.get(name, 0) + 1
            if key_of := chunk.limits.key:
                of = chunk.queue.name, key_of
                by_key[of] = by_key.get(of, 0) + 1
    for job in state.jobs.values():
        if job.spec.limits is not None and not job.finished:
            for name in job.spec.limits.shared:
                live[name] = live.get(name, 0) + 1
    for attempt in state.slot_time.charged:
        task = state.tasks.get(attempt)
        runs = task is not None and task.state is TaskState.RUNNING
        assert runs or attempt in state.chunks, f"{attempt} does not run, and is charged"
    _check_turns(state)
    permits = state.permits
    assert permits.running == running, f"kept {permits.running}, counted {running}"
    assert permits.live == live, f"kept {permits.live}, counted {live}"
    for name, queue in state.queues.items():
        counted = {key: count for (of, key), count in by_key.items() if of == name}
        assert queue.running_by_key == counted, f"{name}: {queue.running_by_key}, {counted}"


def _check_schedules(state: State) -> None:
    """The live runs of schedules are live tasks and jobs, by schedule and the other way."""
    index = state.schedules
    for run, name in index.owners.items():
        job = state.jobs.get(run)
        assert run in state.tasks or (job is not None and not job.finished), f"{run} is not live"
        assert run in index.live[name], f"{run} is not among the runs of {name!r}"
    assert sum(map(len, index.live.values())) == len(index.owners)
    for row in index.rows.values():
        assert list(row.waiting) == sorted(row.waiting), f"{row.name!r}: {row.waiting}"
        assert all(tick <= row.cursor for tick in row.waiting), f"{row.name!r} decides twice"


def _check_usage(state: State) -> None:
    """What callers and queues have on record, counted anew."""
    counted: dict[tuple[str, str], list[int]] = {}
    for live, rows in ((1, state.tasks.values()), (0, state.finished.values())):
        for row in rows:
            assert state.callers.get(row.creator.name) is row.creator, row.id
            for key in (("caller", row.creator.name), ("queue", row.queue.name)):
                count = counted.setdefault(key, [0, 0, 0])
                count[0] += live
                count[1] += 1 - live
                count[2] += row.units
    jobs: dict[str, int] = {}
    for job in state.jobs.values():
        jobs[job.creator.name] = jobs.get(job.creator.name, 0) + 1
        for key in (("caller", job.creator.name), ("queue", job.queue.name)):
            counted.setdefault(key, [0, 0, 0])[2] += job.tally.units
    for name, usage in state.callers.items():
        assert usage.jobs == jobs.get(name, 0)
        assert not usage.empty, f"{name!r} has nothing on record"
        tally = [usage.live, usage.finished, usage.units]
        assert counted.get(("caller", name), [0, 0, 0]) == tally, f"{name!r}: {tally}"
    for name, queue in state.queues.items():
        tally = [queue.usage.live, queue.usage.finished, queue.usage.units]
        assert counted.get(("queue", name), [0, 0, 0]) == tally, f"{name!r}: {tally}"
