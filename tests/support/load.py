"""Work for the drills: a backlog, a stream of submitters, long attempts, and what ran.

Submitters behave as a careful client does: every submission has a request id and is repeated with
it until it is answered. `acknowledged` holds exactly what was answered.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

from quorate.v1 import scheduler_pb2, task_pb2
from scheduler.core.values import TaskState
from tests.support.cluster import Cluster
from tests.support.server import until

# Nothing here is about poison: whole clusters die under a task.
_RETRY = task_pb2.RetryPolicy(crash_limit=100)
_BATCH = 5_000


class Start(NamedTuple):
    """One attempt that ran; `at` is in seconds since the epoch."""

    task: str
    attempt: int
    at: float
    pid: int
    node: str


class Load:
    """The tasks of one drill. Owned by the drill; nothing runs when it ends but the cluster's."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._path = cluster.folder / "starts"
        self._gates = cluster.folder / "gates"
        self._gates.mkdir(exist_ok=True)
        self._path.touch()
        self.acknowledged: list[str] = []

    # -- submitting

    def stamp(self, seconds: float, **spec: object) -> task_pb2.TaskSpec:
        """A short task."""
        return self._spec("stamp", [str(self._path), seconds], **spec)

    def hold(self, **spec: object) -> task_pb2.TaskSpec:
        """A task that runs until its gate is opened."""
        return self._spec("hold", [str(self._path), str(self._gates)], **spec)

    async def submit(self, spec: task_pb2.TaskSpec, queue: str = "", request_id: str = "") -> str:
        """One task; its id."""
        answer = await self._cluster.call(
            scheduler_pb2.CreateTaskRequest(
                queue=queue, spec=spec, request_id=request_id or uuid.uuid4().hex
            ),
            patience=1.0,
        )
        self.acknowledged.append(answer.task.id)
        return str(answer.task.id)

    async def backlog(self, count: int, seconds: float, priority: int = -1) -> list[str]:
        """Many short tasks that give way to others; their ids."""
        ids: list[str] = []
        spec = self.stamp(seconds, priority=priority)
        while len(ids) < count:
            answer = await self._cluster.call(
                scheduler_pb2.BatchCreateTasksRequest(
                    specs=[spec] * min(_BATCH, count - len(ids)), request_id=uuid.uuid4().hex
                )
            )
            ids += answer.ids
            self.acknowledged += answer.ids
        return ids

    @asynccontextmanager
    async def stream(
        self, seconds: float, *, submitters: int = 2, pause: float = 0.02
    ) -> AsyncIterator[None]:
        """Submitters that go on while the body runs, each with a pause between two tasks."""
        stop = asyncio.Event()

        async def submit_on() -> None:
            while not stop.is_set():
                await self.submit(self.stamp(seconds))
                await asyncio.sleep(pause)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(submitters):
                tasks.create_task(submit_on())
            try:
                yield
            finally:
                stop.set()

    def open_gate(self, task: str = "", attempt: int = 0) -> None:
        """Let one attempt, or all, end."""
        (self._gates / (f"{task}.{attempt}" if task else "all")).touch()

    # -- what ran

    def starts(self) -> list[Start]:
        """Every start so far, in order."""
        found = []
        for line in self._path.read_text().splitlines():
            task, attempt, at, pid, node = line.split()
            found.append(Start(task, int(attempt), int(at) / 1e9, int(pid), node))
        return found

    def starts_of(self, tasks: Iterable[str]) -> dict[str, list[Start]]:
        """The starts of some tasks."""
        wanted = set(tasks)
        found: defaultdict[str, list[Start]] = defaultdict(list)
        for start in self.starts():
            if start.task in wanted:
                found[start.task].append(start)
        return found

    async def started(self, task: str, attempt: int, within: float = 20.0) -> Start:
        """One start, once it is there."""

        def look() -> Start | None:
            return next((s for s in self.starts() if s[:2] == (task, attempt)), None)

        found: Start = await until(look, f"attempt {attempt} of {task} has started", within)
        return found

    async def more_starts(self, count: int, within: float = 20.0) -> None:
        """Until `count` more attempts have started."""
        size = self._path.stat().st_size

        def look() -> bool:
            with self._path.open("rb") as file:
                file.seek(size)
                return file.read().count(b"\n") >= count

        await until(look, f"{count} more starts", within)

    # -- what is on record

    async def all_finished(self, within: float = 60.0, tasks: Iterable[str] | None = None) -> None:
        """Until all that was acknowledged has succeeded on record."""
        wanted = list(self.acknowledged if tasks is None else tasks)
        history = self._cluster.history

        async def look() -> bool:
            await history.read()
            if all(history.tasks[task].state is TaskState.SUCCEEDED for task in wanted):
                return True
            await asyncio.sleep(0.1)
            return False

        await until(look, f"{len(wanted)} tasks have succeeded", within)

    async def check(self) -> None:
        """What holds after any drill: nothing lost, nothing twice, nothing that nobody ordered."""
        history = self._cluster.history
        # Work may go on: of each start the record is older.
        starts = self.starts()
        await history.read()
        history.check()
        lost = [task for task in self.acknowledged if not history.tasks[task].created]
        assert not lost, f"{len(lost)} acknowledged tasks are not on record: {lost[:5]}"
        assert len(set(self.acknowledged)) == len(self.acknowledged), "one id for two submissions"
        seen = set()
        for start in starts:
            name = (start.task, start.attempt)
            assert name not in seen, f"{name} was started twice"
            seen.add(name)
            runs = history.tasks[start.task].runs
            assert history.epoch_of(*name), f"{name} ran without being on record: {runs}"

    def _spec(self, function: str, arguments: list[object], **more: object) -> task_pb2.TaskSpec:
        spec = task_pb2.TaskSpec(**more)  # type: ignore[arg-type]
        spec.retry.CopyFrom(_RETRY)
        spec.python.entrypoint = f"tests.support.drill_work:{function}"
        spec.python.json = json.dumps(arguments)
        return spec
