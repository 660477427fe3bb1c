"""Arrays in the core: events in, effects out, and the standby's state equal to the leader's."""

from __future__ import annotations

import pytest

from quorate.internal.v1 import jobs_pb2 as r
from scheduler.core.values import JobState, TaskState
from tests.support.core_jobs import Jobs, followed_cluster, job_spec


@pytest.fixture
def cluster():
    with followed_cluster() as cluster:
        yield cluster


@pytest.fixture
def jobs(cluster):
    return Jobs(cluster)


def test_an_array_is_given_out_in_chunks_and_succeeds(cluster, jobs):
    node = cluster.node("n1", credit=2)
    job = jobs.create(10)
    assert jobs.row(job).state is JobState.ACTIVE
    assert [jobs.left(chunk) for chunk in jobs.chunks(job)] == [[(0, 0)], [(1, 1)]]
    jobs.finish(job, [node])
    row = jobs.row(job)
    assert row.state is JobState.SUCCEEDED
    assert jobs.states(job) == "S" * 10
    assert not cluster.state.chunks
    assert row.start_time == cluster.now
    assert row.settled


def test_chunks_grow_with_what_is_measured(cluster, jobs):
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(1_000_000)
    sizes = []
    for _ in range(4):
        (chunk,) = jobs.chunks(job)
        sizes.append(jobs.row(job).array.out)
        jobs.succeed(node, chunk, sizes[-1] * 1e-6)
    # The last one ends with its eighth block.
    assert sizes == [1, 32, 1_024, 8 * 4_096 - 33 - 1_024]
    jobs.finish(job, [node], each=1e-6)


def test_a_node_has_two_chunks_a_slot_whatever_its_credit(cluster, jobs):
    node = cluster.node("n1", credit=500, slots=3)
    job = jobs.create(1_000)
    assert len(jobs.chunks(job)) == 6
    jobs.succeed(node, jobs.chunks(job)[0], 2.0)
    assert len(jobs.chunks(job)) == 6


def test_long_subtasks_go_one_by_one(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(20)
    for _ in range(4):
        (chunk,) = jobs.chunks(job)
        assert jobs.row(job).array.out == 1
        jobs.succeed(node, chunk, 2.0)


def test_no_subtasks_succeed_at_once(jobs):
    assert jobs.row(jobs.create(0)).state is JobState.SUCCEEDED


def test_agents_that_take_no_chunks_get_none(cluster, jobs):
    cluster.node("old", takes_chunks=False)
    job = jobs.create(5)
    assert not jobs.chunks(job)
    cluster.node("new", credit=1)
    assert len(jobs.chunks(job)) == 1


def test_tasks_and_jobs_of_a_queue_go_by_priority_then_age(cluster, jobs):
    first = cluster.submit()
    job = jobs.create(2)
    urgent = jobs.create(1, job_spec(priority=5))
    last = cluster.submit()
    node = cluster.node("n1", credit=5)
    order = [
        cluster.state.chunks[t].job.id if t in cluster.state.chunks else t for t, _ in node.started
    ]
    assert order == [urgent, first, job, job, last]


def test_counts_of_a_queue_include_subtasks(cluster, jobs):
    jobs.create(10)
    cluster.submit()
    cluster.node("n1", credit=2)
    queue = next(iter(cluster.state.queues.values()))
    assert queue.subtasks[TaskState.RUNNING] + queue.counts[TaskState.RUNNING] == 2
    assert queue.subtasks[TaskState.PENDING] + queue.counts[TaskState.PENDING] == 9


def test_a_subtask_that_fails_for_good_fails_the_job(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(2)
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, failed=[0])
    jobs.end(node, chunk)
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.FAILED
    assert jobs.states(job) == "FS"


def test_a_failure_is_tried_again_after_its_backoff(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(1, job_spec(attempts=3, backoff=2.0))
    for failed in range(1, 4):
        (chunk,) = jobs.chunks(job)
        jobs.report(node, chunk, failed=[0])
        jobs.end(node, chunk)
        assert jobs.states(job) == ("F" if failed == 3 else "W")
        cluster.advance(1.0)
        assert not jobs.chunks(job)
        cluster.advance(10.0)
    assert jobs.row(job).state is JobState.FAILED
    assert jobs.row(job).array.block(0).attempts_of(0) == 3


def test_a_fatal_error_is_final_at_once(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(1, job_spec(attempts=3, fatal=["ValueError"]))
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, failed=[0])
    assert jobs.states(job) == "F"
    jobs.end(node, chunk)


def test_what_is_returned_or_not_reported_is_given_out_again(cluster, jobs):
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(200)
    jobs.succeed(node, *jobs.chunks(job), 1e-6)
    (chunk,) = jobs.chunks(job)
    assert jobs.left(chunk) == [(1, 32)]
    node.credit(0)
    jobs.report(node, chunk, succeeded=[(1, 2)], returned=[(6, 32)])
    assert jobs.left(chunk) == [(3, 5)]
    jobs.end(node, chunk)
    assert jobs.states(job)[:10] == "SSSPPPPPPP"


def test_a_report_counts_once_and_only_for_what_is_out_with_its_chunk(cluster, jobs):
    node = cluster.node("n1", credit=2)
    job = jobs.create(4)
    first, second = jobs.chunks(job)
    event = jobs.report(node, first, succeeded=[(0, 3)])
    assert jobs.states(job) == "SOPP"
    cluster.step(event)
    assert jobs.states(job) == "SOPP"
    assert node.reports == [(first, 1), (first, 1)]
    jobs.end(node, first)
    cluster.step(event)
    assert node.reports[-1] == (first, 1)
    assert jobs.states(job).startswith("SO")
    jobs.end(node, second)


def test_a_report_of_another_process_is_acknowledged_and_changes_nothing(cluster, jobs):
    node = cluster.node("n1", credit=1)
    other = cluster.node("n2", credit=0)
    job = jobs.create(1)
    (chunk,) = jobs.chunks(job)
    event = jobs.report(other, chunk, succeeded=[(0, 0)])
    assert other.reports == [(chunk, event.number)]
    assert jobs.states(job) == "O"
    jobs.succeed(node, chunk)


def test_a_lost_node_s_subtasks_are_pending_and_the_oldest_is_suspect(cluster, jobs):
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(200)
    jobs.succeed(node, *jobs.chunks(job), 1e-6)
    (chunk,) = jobs.chunks(job)
    node.start(chunk)
    jobs.report(node, chunk, succeeded=[(1, 3)])
    node.lose()
    assert jobs.states(job)[:10] == "SSSSPPPPPP"
    cluster.node("n2", credit=1)
    (again,) = jobs.chunks(job)
    assert jobs.left(again) == [(4, 4)]


def test_a_chunk_that_never_began_suspects_nothing(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(1)
    node.lose()
    assert not jobs.row(job).array.blocks[0].crashes


def test_a_subtask_that_kills_nodes_fails_at_the_crash_limit(cluster, jobs):
    job = jobs.create(3, job_spec(crash_limit=2))
    for _ in range(2):
        node = cluster.node("n1", credit=1)
        (chunk,) = jobs.chunks(job)
        assert jobs.left(chunk) == [(0, 0)]
        node.start(chunk)
        cluster.advance(2.0)
        node.lose()
    assert jobs.states(job) == "FPP"


def test_an_agent_that_knows_a_chunk_goes_on_and_another_gets_what_is_left(cluster, jobs):
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(200)
    jobs.succeed(node, *jobs.chunks(job), 1e-6)
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, succeeded=[(1, 2)])
    cluster.lead(cluster.log.followed())
    sent = len(node.started)
    node.open()
    assert len(node.started) == sent
    node.close()
    node.has.clear()
    node.open()
    assert node.started[-1] == (chunk, 1)
    assert jobs.left(chunk) == [(3, 32)]
    jobs.succeed(node, chunk)


def test_max_parallel_bounds_the_chunks(cluster, jobs):
    node = cluster.node("n1", credit=8, slots=8)
    job = jobs.create(20, job_spec(max_parallel=3))
    assert len(jobs.chunks(job)) == 3
    jobs.finish(job, [node])


def test_results_are_written_for_accepted_subtasks_only(cluster, jobs):
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(200)
    jobs.succeed(node, *jobs.chunks(job), 1e-6)
    (chunk,) = jobs.chunks(job)
    jobs.report(
        node, chunk, succeeded=[(1, 2), (100, 101)], results=[(0, 1, [b"0", b"1", b"2", b"3"])]
    )
    cluster.log.flush()
    kept = [key for key in cluster.log.kept if key.startswith(b"job-results/")]
    # Of the first subtask, which has no result, it says who ran it.
    bare, mine = (r.JobResultsRecord.FromString(cluster.log.kept[key]) for key in sorted(kept))
    assert [(one.first, one.last) for one in bare.positions] == [(0, 0)]
    assert not bare.runs
    assert sorted(kept)[1].endswith(b"/0000/00000001")
    assert [(run.first, list(run.values)) for run in mine.runs] == [(1, [b"1"]), (2, [b"2"])]
    # The results say which positions these are.
    assert not mine.positions
    assert mine.chunk == chunk


def test_a_deleted_job_leaves_nothing(cluster, jobs):
    node = cluster.node("n1")
    job = jobs.create(3, creator="submitter:a")
    (chunk, *_) = jobs.chunks(job)
    jobs.report(node, chunk, failed=[0], results=[(0, 1, [b"0"])])
    jobs.end(node, chunk)
    jobs.finish(job, [node])
    jobs.delete(job)
    cluster.log.flush()
    assert not [key for key in cluster.log.kept if job.encode() in key]
    assert "submitter:a" not in cluster.state.callers


def test_retention_deletes_finished_jobs_and_a_queue_with_a_job_stays(cluster, jobs):
    queue = cluster.queue("q", age=60.0)
    node = cluster.node("n1")
    job = jobs.create(3, queue=queue)
    jobs.finish(job, [node])
    cluster.advance(59.0)
    cluster.retain()
    assert job in cluster.state.jobs
    cluster.advance(2.0)
    cluster.retain()
    assert job not in cluster.state.jobs
    cluster.log.flush()
    assert not [key for key in cluster.log.kept if job.encode() in key]


def test_the_rest_of_a_long_chunk_is_recalled_when_slots_idle(cluster, jobs):
    one = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(200)
    jobs.succeed(one, *jobs.chunks(job), 1e-6)
    two = cluster.node("n2", credit=1, slots=1)
    for _ in range(100):
        if not jobs.row(job).array.pending:
            break
        for chunk in list(two.has):
            jobs.succeed(two, chunk, 1e-6)
    for chunk in list(two.has):
        jobs.succeed(two, chunk, 1e-6)
    (long,) = jobs.chunks(job)
    assert not one.recalled
    cluster.advance(0.5)
    cluster.place()
    assert one.recalled == [long]
    left = jobs.left(long)
    jobs.report(one, long, succeeded=[(left[0][0],) * 2], returned=[(left[0][0] + 2, left[0][1])])
    assert any(chunk != long for chunk in jobs.chunks(job))
    jobs.finish(job, [one, two])
