"""Agents of one machine: each ends what its own predecessor left behind, and nobody else's."""

from __future__ import annotations

from pathlib import Path

from node_agent.executors.link import directory_mark, kill_marked
from tests.support.agent import Leader, eventually, python, running_agent, task_id


async def test_a_starting_agent_leaves_its_neighbours_workers_alone(tmp_path: Path):
    # Both directories have the same name, as those of two tests that run at once.
    first, second = tmp_path / "a" / "node", tmp_path / "b" / "node"
    for folder in (first, second):
        folder.parent.mkdir()
    async with running_agent(first) as agent, Leader(agent.address) as leader:
        session = await leader.open()
        task = task_id()
        await session.assign(task, python("time:sleep", 1000))
        await session.started(task)
        async with running_agent(second):
            assert (await session.run(python("math:sqrt", 4))).result.json == "2.0"
            assert not session.reports(task)
        await session.cancel(task)
        assert (await session.finished(task)).error.type == "CANCELLED"


async def test_what_an_agent_left_is_found_by_the_mark_of_its_directory(tmp_path: Path):
    data = tmp_path / "node"
    async with running_agent(data) as agent, Leader(agent.address) as leader:
        session = await leader.open()
        task = task_id()
        await session.assign(task, python("time:sleep", 1000))
        await session.started(task)
        assert kill_marked(directory_mark(data)) >= 1
        assert (await session.finished(task)).error.type == "WORKER_CRASHED"
        await eventually(lambda: all(lane.ready for lane in agent.driver.machine.slots))


def test_a_mark_belongs_to_one_directory_however_it_is_spelled(tmp_path: Path, monkeypatch):
    data, moved = tmp_path / "node", tmp_path / "moved"
    data.mkdir()
    mark = directory_mark(data)
    monkeypatch.chdir(tmp_path)
    assert directory_mark(Path("node")) == mark
    # Another directory at the same path, as two containers that share a process namespace have.
    data.rename(moved)
    data.mkdir()
    assert directory_mark(data) != mark
