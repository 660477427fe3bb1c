"""A log of 200 MB on a node: its ends are read, and a line in it is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import scheduler_pb2
from tests.support.agent import Leader, command, running_agent, task_id

STDOUT = scheduler_pb2.LOG_STREAM_STDOUT


async def test_of_25_million_lines_the_ends_are_read_and_a_line_is_found(tmp_path: Path):
    async with (
        running_agent(tmp_path / "node", log_cap=256 << 20) as agent,
        Leader(agent.address) as leader,
    ):
        session = await leader.open()
        task = task_id()
        await session.assign(task, command("sh", "-c", "seq 25000000; echo done >&2"))
        await session.finished(task)

        async def read(**asked: Any) -> tuple[scheduler_pb2.LogExtent, bytes]:
            request = pb.ReadLogsRequest(task_id=task, with_extent=True, **asked)
            first, *rest = [answer async for answer in leader.stub.ReadLogs(request)]
            out = [one.chunk for one in rest if one.chunk.stream == STDOUT]
            return first.extent, b"".join(chunk.data for chunk in out)

        extent, data = await read(tail_lines=2)
        assert data == b"24999999\n25000000\n"
        assert (extent.stdout.lines_before, extent.stdout.dropped) == (24_999_998, 0)
        assert (extent.stderr.size, extent.stderr.lines_before) == (5, 0)
        # What is earlier than that, and the beginning.
        extent, data = await read(tail_lines=1, stdout_until=extent.stdout.begin)
        assert data == b"24999998\n"
        assert (await read(head_lines=2))[1] == b"1\n2\n"
        place, found = 0, []
        while True:
            request = pb.SearchLogsRequest(
                task_id=task, text="17654321", stdout_from=place, max_matches=10
            )
            answer = await leader.stub.SearchLogs(request)
            found += answer.matches
            if answer.complete:
                break
            assert answer.stdout_next > place
            place = answer.stdout_next
        (match,) = found
        assert match.line == b"17654321"
        assert match.HasField("time")
        _, data = await read(stdout_from=match.offset, head_lines=2)
        assert data == b"17654321\n17654322\n"
