"""`quorate schedule update` in real processes: later runs have the new options.

The schedule fires once a year; runs are asked for, so that no time matters.
"""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

from quorate.v1 import job_pb2, schedule_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from tests.support.cluster import Cluster
from tests.support.forked import run
from tests.support.tls import client_environment


class Shell:
    """Types commands, at all schedulers."""

    def __init__(self, cluster: Cluster) -> None:
        addresses = ",".join(server.address for server in cluster.schedulers.values())
        self._environment = {"QUORATE_ADDRESS": addresses, **client_environment()}

    async def says(self, *words: str, code: int = 0) -> str:
        done = await asyncio.to_thread(run, "quorate", *words, **self._environment)
        assert done.code == code, (words, done.out, done.err)
        return done.out if code == 0 else done.err

    async def update(self, *words: str) -> Any:
        """The spec of the schedule as it then is."""
        said = await self.says("schedule", "update", "yearly", "--json", *words)
        return json.loads(said)["spec"]


async def ended(cluster: Cluster, task: str) -> task_pb2.Task:
    found: task_pb2.Task = (await cluster.call(pb.WaitTaskRequest(id=task))).task
    assert found.state == task_pb2.TASK_STATE_SUCCEEDED, found
    return found


async def test_later_runs_have_the_options_that_an_update_gave(tmp_path):
    async with Cluster(tmp_path, agents=0) as cluster:
        for server in (
            cluster.add_agent("n1", "--labels=zone=a"),
            cluster.add_agent("n2", "--labels=zone=b"),
        ):
            await server.start()
        await cluster.in_session("n1", "n2")
        shell = Shell(cluster)
        await shell.says(
            *("schedule", "create", "yearly", "--cron", "@yearly", "--where", "zone=a"),
            *("--label", "app=web", "--env", "WORD=first", "--retries", "1"),
            *("--", "sh", "-c", "test $WORD = first"),
        )
        first = await ended(cluster, (await shell.says("schedule", "run", "yearly")).strip())
        assert first.attempts[-1].node == "n1"

        # One option; another program, which keeps the options; and the leader is lost.
        await shell.update("--where", "zone=b", "--env", "WORD=second")
        spec = await shell.update("--", "sh", "-c", "test $WORD = second")
        assert (spec["task"]["labels"], spec["task"]["retry"]) == (
            {"app": "web"},
            {"maxAttempts": 2},
        )
        await cluster.standby()
        _, leader = await cluster.leader()
        leader.send(signal.SIGKILL)
        await leader.gone()
        await cluster.in_session("n1", "n2")
        second = await ended(cluster, (await shell.says("schedule", "run", "yearly")).strip())
        assert second.attempts[-1].node == "n2"
        assert second.spec.labels == {"app": "web"}

        # The unique key of a run is that of a task: the run of a second schedule does not start.
        await shell.update("--unique-key", "report", "--", "sleep", "600")
        runs = (await shell.says("schedule", "run", "yearly")).strip()
        said = await shell.says("schedule", "run", "yearly", code=5)
        assert f"task '{runs}' of queue 'default' has the unique key 'report'" in said
        await shell.update("--unique-key", "report", "--on-conflict", "replace", "--", "true")
        third = (await shell.says("schedule", "run", "yearly")).strip()
        await ended(cluster, third)
        assert (await cluster.task(runs)).state == task_pb2.TASK_STATE_CANCELLED

        # Runs become jobs with a result; the key is refused, since subtasks have none.
        job_options = ("--array", "1-5", "--reduce", "builtins:len", "--max-parallel", "2")
        words = ("schedule", "update", "yearly", *job_options, "--", "test", "{index}", "!=", "9")
        said = await shell.says(*words, code=2)
        assert "schedule.spec.job.template.unique: must not be set" in said
        spec = await shell.update(
            *job_options, "--unique-key", "", "--", "test", "{index}", "!=", "9"
        )
        assert (spec["job"]["count"], spec["job"]["maxParallel"]) == ("5", "2")
        job = (await shell.says("schedule", "run", "yearly")).strip()
        assert (await shell.says("job", "wait", job)).strip() == "5"
        shown = (await cluster.call(pb.GetJobRequest(id=job))).job
        assert shown.state == job_pb2.JOB_STATE_SUCCEEDED
        there = (await cluster.call(schedule_pb2.GetScheduleRequest(name="yearly"))).schedule
        assert there.spec.job.template.placement.nodes[0].values == ["b"]
        assert there.runs == 5
