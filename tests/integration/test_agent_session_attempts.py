"""What a session does with attempts: adoption, outcomes, replacement, drain."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from node_agent.executors.worker_program import WorkerLimits
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import node_pb2, queue_pb2
from tests.support.agent import (
    Agent,
    Leader,
    command,
    eventually,
    python,
    running_agent,
    task_id,
)


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    limits = WorkerLimits(max_result=1 << 20)
    async with running_agent(tmp_path / "node", limits=limits) as agent:
        yield agent


@pytest_asyncio.fixture
async def leader(agent: Agent) -> AsyncIterator[Leader]:
    async with Leader(agent.address) as leader:
        yield leader


def refs(messages) -> list[tuple[str, int]]:
    return [(ref.task_id, ref.attempt) for ref in messages]


async def test_running_attempts_are_adopted_by_the_next_leader(leader: Leader, tmp_path: Path):
    go = tmp_path / "go"
    first = await leader.open(epoch=1)
    task = task_id()
    await first.assign(task, command("sh", "-c", f"until [ -e {go} ]; do sleep 0.01; done"))
    await first.started(task)
    await leader.hang_up(first)
    second = await leader.open(epoch=2)
    inventory = await second.inventory()
    assert refs(inventory.running) == [(task, 1)]
    assert inventory.running[0].start_time.seconds
    # The new leader assigns again what it finds on record: it is not run twice.
    await second.assign(task, command("false"))
    go.touch()
    assert (await second.finished(task)).result.exit_code == 0
    await second.acknowledge(task)
    third = await leader.open(epoch=3)
    assert not (await third.inventory()).finished


async def test_an_attempt_the_next_leader_does_not_know_is_cancelled_and_dropped(leader: Leader):
    first = await leader.open(epoch=1)
    task = task_id()
    await first.assign(task, command("sleep", "1000"))
    await first.started(task)
    second = await leader.open(epoch=2)
    assert refs((await second.inventory()).running) == [(task, 1)]
    await second.cancel(task)
    assert (await second.finished(task)).error.type == "CANCELLED"
    await second.acknowledge(task)
    third = await leader.open(epoch=3)
    inventory = await third.inventory()
    assert inventory == pb.Inventory()


async def test_outcomes_are_sent_in_each_session_until_acknowledged(agent: Agent, leader: Leader):
    first = await leader.open(epoch=1)
    tasks = [task_id() for _ in range(2)]
    for task in tasks:
        await first.assign(task, command("true"))
        await first.finished(task)
    await leader.hang_up(first)
    second = await leader.open(epoch=2)
    inventory = await second.inventory()
    assert sorted(refs(inventory.finished)) == [(task, 1) for task in tasks]
    for task in tasks:
        await second.finished(task)
    await second.acknowledge(tasks[0])
    await eventually(lambda: len(agent.driver.machine.outbox) == 1)
    third = await leader.open(epoch=3)
    assert refs((await third.inventory()).finished) == [(tasks[1], 1)]
    assert (await third.finished(tasks[1])).result.exit_code == 0
    assert not third.reports(tasks[0])


async def test_what_finishes_without_a_leader_is_kept(agent: Agent, leader: Leader, tmp_path: Path):
    go = tmp_path / "go"
    first = await leader.open(epoch=1)
    task = task_id()
    await first.assign(task, command("sh", "-c", f"until [ -e {go} ]; do sleep 0.01; done"))
    await first.started(task)
    await leader.hang_up(first)
    await eventually(lambda: not agent.driver.machine.connected)
    go.touch()
    await eventually(lambda: len(agent.driver.machine.outbox) == 1)
    second = await leader.open(epoch=2)
    assert (await second.finished(task)).result.exit_code == 0


async def test_a_duplicate_assignment_runs_once(leader: Leader, tmp_path: Path):
    session = await leader.open()
    task, marks = task_id(), tmp_path / "marks"
    spec = command("sh", "-c", f"echo x >> {marks}; sleep 0.1")
    await session.assign(task, spec)
    await session.assign(task, spec)
    await session.finished(task)
    await session.assign(task, spec)
    await session.until(lambda: len(session.reports(task)) == 2)
    assert marks.read_text() == "x\n"


async def test_a_newer_attempt_replaces_the_older(leader: Leader):
    session = await leader.open()
    task = task_id()
    await session.assign(task, command("sleep", "1000"), attempt=1)
    await session.started(task)
    await session.assign(task, command("true"), attempt=2)
    report = await session.finished(task)
    assert (report.attempt, report.result.exit_code) == (2, 0)


async def test_large_results_are_split_over_messages(leader: Leader):
    session = await leader.open(epoch=1)
    tasks = [task_id() for _ in range(6)]
    spec = python("operator:mul", "x", 1_000_000)
    for task in tasks:
        await session.assign(task, spec)
        await session.finished(task)
    second = await leader.open(epoch=2)
    for task in tasks:
        assert len((await second.finished(task)).result.json) == 1_000_002
    assert max(message.ByteSize() for message in second.messages) < 4 * 1024 * 1024


async def test_a_drain_order_hands_back_what_waits_and_can_be_ended(leader: Leader):
    session = await leader.open()
    running, waiting = [task_id(), task_id()], task_id()
    for task in running:
        await session.assign(task, command("sleep", "1000"))
    await session.send(
        assign=[
            pb.Assignment(task_id=waiting, attempt=1, spec=command("true").SerializeToString())
        ],
        drain=pb.DrainOrder(draining=True),
    )
    await session.until(lambda: session.returned(waiting))
    # The grace is 0: what runs is returned too.
    for task in running:
        assert (await session.finished(task)).handed_back
    await session.until(lambda: session.credit == 0)
    await session.send(drain=pb.DrainOrder(draining=False))
    await session.until(lambda: session.credit == 2)
    assert (await session.run(command("true"))).result.exit_code == 0


async def test_stop_on_disconnect_ends_only_those_attempts_that_ask_for_it(
    agent: Agent, leader: Leader
):
    session = await leader.open()
    keep, stop = task_id(), task_id()
    await session.assign(keep, command("sleep", "1000"))
    await session.assign(
        stop, command("sleep", "1000"), disconnect=queue_pb2.DISCONNECT_POLICY_STOP
    )
    await session.started(stop)
    agent.driver.lease_confirmed(0.0)
    assert (await session.finished(stop)).handed_back
    assert not session.reports(keep)
    assert agent.driver.machine.live(keep) is not None


async def test_a_broken_spec_fails_its_attempt_and_not_the_session(leader: Leader):
    session = await leader.open()
    tasks = [task_id(), task_id()]
    await session.send(
        assign=[
            pb.Assignment(task_id=tasks[0], attempt=1, spec=b"\xff\xff"),
            pb.Assignment(task_id=tasks[1], attempt=1),
        ]
    )
    for task in tasks:
        assert (await session.finished(task)).error.type == "NOT_STARTED"


async def test_a_killed_spawner_is_replaced_and_its_attempts_handed_back(
    agent: Agent, leader: Leader
):
    session = await leader.open()
    task, call = task_id(), task_id()
    await session.assign(task, command("sleep", "1000"))
    await session.assign(call, python("time:sleep", 1000))
    await session.started(task)
    await session.started(call)
    os.kill(agent.driver._link.spawner_pid, signal.SIGKILL)
    assert (await session.finished(task)).handed_back
    assert (await session.finished(call)).handed_back
    assert (await session.run(command("true"))).result.exit_code == 0
    assert (await session.run(python("operator:add", 1, 2))).result.json == "3"


async def test_stats_are_sent_now_and_at_the_beginning_of_a_session(agent: Agent, leader: Leader):
    session = await leader.open()
    await session.inventory()
    agent.sessions.report_stats(node_pb2.NodeStats(cpu=0.5))
    await session.until(lambda: [m for m in session.messages if m.stats.cpu == 0.5])
    second = await leader.open(epoch=2)
    await second.until(lambda: [m for m in second.messages if m.stats.cpu == 0.5])
