"""Two versions side by side under work: schedulers first, then agents, and all the way back.

"New" programs run on the stubs of a release to come, in which every message, enum and service has
something more (`tests.support.next_release`), and set what was added in all that they send and
store. "Old" ones are the present program. Callers with nothing but stubs, those of the last
release's image and those of the next, call whichever scheduler there is throughout.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from quorate.internal.v1.records_pb2 import RunRecord
from quorate.v1 import scheduler_pb2 as pb
from scheduler.core.values import TaskState
from tests.support import stub_client
from tests.support.cluster import PREFIX, Cluster
from tests.support.load import Load
from tests.support.next_release import FIELD, NOTE, RPC, classes, following, present, write_stubs
from tests.support.server import Server, until
from tests.support.tls import client_environment, open_aio
from tools.protos.rules import last_release

# Seconds of a short task, and of one that still runs when its agent is told to go.
SHORT, LONGER = 0.02, 0.4
OK, UNIMPLEMENTED = grpc.StatusCode.OK, grpc.StatusCode.UNIMPLEMENTED
NEXT = classes(following(present()))


class StubCaller:
    """A process of `tests.support.stub_client`, and what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said: list[dict[str, Any]] = []
        self._reader = asyncio.ensure_future(self._read())

    @classmethod
    async def start(cls, stubs: Path, mode: str, cluster: Cluster) -> StubCaller:
        # Isolated: nothing of the checkout is on its path.
        return cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", stub_client.__file__, str(stubs), mode),
                *(server.address for server in cluster.schedulers.values()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=client_environment(),
            )
        )

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.said.append(json.loads(line))

    async def goes_on(self, count: int = 3) -> None:
        """Until it has had `count` more tasks done."""
        wanted = len(self.said) + count

        def look() -> bool:
            assert not self._reader.done(), "a caller has ended: its traceback is above"
            return len(self.said) >= wanted

        await until(look, f"{count} more tasks of a caller")

    async def end(self) -> None:
        """Let it finish its task and go, and see that all it was told is right."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert await asyncio.wait_for(self._process.wait(), 60) == 0
        await self._reader
        for line in self.said:
            assert json.loads(line["json"]) == line["n"] * 7, line

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


class Upgrade:
    """A cluster whose processes are exchanged one by one, and what has to hold after each."""

    def __init__(self, cluster: Cluster, load: Load, stubs: Path) -> None:
        self.cluster = cluster
        self.load = load
        self._stubs = stubs
        self.callers: list[StubCaller] = []

    @asynccontextmanager
    async def calling(self, *stubs: tuple[Path, str]) -> AsyncIterator[None]:
        """Callers that go on while the body runs."""
        try:
            for folder, mode in stubs:
                self.callers.append(await StubCaller.start(folder, mode, self.cluster))
            yield
            for caller in self.callers:
                await caller.end()
        finally:
            for caller in self.callers:
                caller.kill()

    async def works(self) -> None:
        """Tasks start, and callers of both versions are served."""
        await self.cluster.in_session()
        await self.load.more_starts(10)
        await asyncio.gather(*(caller.goes_on() for caller in self.callers))

    async def held(self) -> str:
        """A task that runs until its gate is opened."""
        task = await self.load.submit(self.load.hold())
        await self.load.started(task, 1)
        return task

    async def replace(self, server: Server, *, new: bool) -> None:
        """Tell a process to go and start one of the wanted version in its place."""
        server.term()
        assert await server.gone() == 0, server.tail()
        server.launcher = ("tests.support.run_next", str(self._stubs)) if new else ()
        await server.start()

    async def replace_standby(self, *, new: bool) -> None:
        """And wait until it has read what the other version wrote, and would take over."""
        standby = await self.cluster.standby()
        await self.replace(standby, new=new)
        assert await self.cluster.standby() is standby
        await self.works()

    async def replace_leader(self, *, new: bool) -> None:
        """The standby, which is of the other version than it was, leads from then on."""
        epoch, leader = await self.cluster.leader()
        await self.replace(leader, new=new)
        after, other = await self.cluster.leader(after=epoch)
        assert other is not leader
        assert after > epoch
        assert await self.cluster.standby() is leader
        await self.works()

    async def replace_agents(self, *, new: bool) -> None:
        """One by one, each while it has something to finish."""
        for server in self.cluster.agents.values():
            longer = [await self.load.submit(self.load.stamp(LONGER)) for _ in range(4)]
            await self.load.started(longer[0], 1)
            await self.replace(server, new=new)
            await self.works()

    async def told(self) -> dict[str, grpc.StatusCode]:
        """The codes with which the schedulers answer the RPC that the next release added."""
        roles = {
            "standby": await self.cluster.standby(),
            "leader": (await self.cluster.leader())[1],
        }
        return {role: await self._told_by(server) for role, server in roles.items()}

    async def _told_by(self, server: Server) -> grpc.StatusCode:
        async with open_aio(server.address) as channel:
            try:
                await channel.unary_unary(
                    f"/quorate.v1.Scheduler/{RPC}",
                    pb.GetClusterRequest.SerializeToString,
                    pb.GetClusterResponse.FromString,
                )(pb.GetClusterRequest(), timeout=10)
            except grpc.aio.AioRpcError as error:
                return error.code()
        return OK

    async def record(self, kind: str, key: str) -> Any:
        """A record as the next version reads it."""
        (found,) = await self.cluster.read(key.encode())
        return NEXT[f"quorate.internal.v1.{kind}"].FromString(found.value)

    async def versions(self) -> dict[str, bool]:
        """Which schedulers and agents are new, by what they wrote of themselves."""
        found = {}
        for key, kind in (("election/scheduler/", "CandidateRecord"), ("nodes/", "NodeRecord")):
            for kv in await self.cluster.read(key.encode()):
                record: Any = NEXT[f"quorate.internal.v1.{kind}"].FromString(kv.value)
                found[record.name] = getattr(record, FIELD) == NOTE
        return found


@pytest.mark.timeout(180)
async def test_up_and_back_under_work_loses_nothing_and_does_nothing_twice(tmp_path):
    stubs = write_stubs(following(present()), tmp_path / "next")
    image = FileDescriptorSet.FromString(last_release().read_bytes())
    released = write_stubs(image, tmp_path / "released")
    async with Cluster(tmp_path / "cluster", slots=2) as cluster:
        load = Load(cluster)
        up = Upgrade(cluster, load, stubs)
        await cluster.in_session()
        held = await up.held()
        async with (
            load.stream(SHORT, submitters=1, pause=0.04),
            up.calling((released, "plain"), (stubs, "fill")),
        ):
            await up.works()

            # Schedulers first: the agents are still of the version before.
            await up.replace_standby(new=True)
            # What only the next release can do is refused, whoever is asked, until it leads.
            assert await up.told() == {"leader": UNIMPLEMENTED, "standby": UNIMPLEMENTED}
            await up.replace_leader(new=True)
            assert await up.told() == {"leader": OK, "standby": OK}
            assert await up.versions() == {"s1": True, "s2": True, "n1": False, "n2": False}
            await cluster.call(pb.CreateQueueRequest(queue={"name": "kept"}, request_id="1"))
            await cluster.call(pb.CordonNodeRequest(name="n1", request_id="2"))
            await cluster.call(pb.UncordonNodeRequest(name="n1", request_id="3"))
            # Begun under the old leader, adopted by the new one.
            load.open_gate(held, 1)
            await load.all_finished(tasks=[held])
            await up.replace_agents(new=True)
            assert all((await up.versions()).values())

            # And back in the same order: a leader of the old version has agents of the new one.
            held = await up.held()
            await up.replace_standby(new=False)
            assert await up.told() == {"leader": OK, "standby": UNIMPLEMENTED}
            await up.replace_leader(new=False)
            assert await up.told() == {"leader": UNIMPLEMENTED, "standby": UNIMPLEMENTED}
            assert await up.versions() == {"s1": False, "s2": False, "n1": True, "n2": True}
            # Rewritten by the old version: what it does not know of them stays.
            await cluster.call(pb.PauseQueueRequest(name="kept", request_id="4"))
            await cluster.call(pb.CordonNodeRequest(name="n1", request_id="5"))
            await cluster.call(pb.UncordonNodeRequest(name="n1", request_id="6"))
            load.open_gate(held, 1)
            await load.all_finished(tasks=[held])
            await up.replace_agents(new=False)
            assert not any((await up.versions()).values())
        await load.all_finished()
        queue = await up.record("QueueRecord", "queues/kept")
        assert (queue.paused, getattr(queue, FIELD)) == (True, NOTE)
        control = await up.record("NodeControlRecord", "controls/n1")
        assert (control.cordoned, getattr(control, FIELD)) == (False, NOTE)
        run = await up.record("RunRecord", f"runs/default/{held}")
        assert (run.state, run.attempt, getattr(run, FIELD)) == (TaskState.SUCCEEDED, 1, NOTE)
        await _nothing_lost(up)


async def test_a_scheduler_ends_rather_than_lead_over_what_it_does_not_understand(tmp_path):
    async with Cluster(tmp_path, schedulers=1, agents=0) as cluster:
        load = Load(cluster)
        task = await load.submit(load.stamp(0))
        later = RunRecord(state=99, attempt=1).SerializeToString()  # type: ignore[arg-type]
        await cluster.store.put(PREFIX + f"runs/default/{task}".encode(), later)
        old = cluster.add_scheduler("old")
        old.launch()
        assert await old.gone() == 1
        said = f"scheduler: task {task} is in state 99, which this scheduler does not know"
        assert said in old.log.read_text()
        # Who does understand it leads on.
        await cluster.call(pb.GetClusterRequest())


async def _nothing_lost(up: Upgrade) -> None:
    """Every acknowledged task ended once, as it should, after one start."""
    load, history = up.load, up.cluster.history
    await load.check()
    for task, starts in load.starts_of(load.acknowledged).items():
        assert len(starts) == 1, f"{task} was started again: {starts}"
    for caller in up.callers:
        for line in caller.said:
            ends = [run for run in history.tasks[line["id"]].runs if run.state > TaskState.RUNNING]
            assert [run.state for run in ends] == [TaskState.SUCCEEDED], line
