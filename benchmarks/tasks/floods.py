"""Floods by one tenant: how long a neighbour's tasks take meanwhile, against how long alone.

A cluster that knows its callers by token. The neighbour creates a no-op task, waits for it, rests
for 15 ms and begins again; another tenant, in a process of its own, does one of five things that
starved everybody before there were quotas:

    watches   512 watches of all tasks
    json      JSON arguments of 19 MB, four at a time
    search    searches among 20,000 tasks, eight at a time: half of them for 127 letters, half for
              eight letters of which every task has seven
    waits     20,000 waits of an hour
    fill      batches of 200 tasks of 38 KB, two at a time, up to 45,200 tasks

What counts is what the flood takes from the cluster. The flooder would be another machine: here it
has the lowest priority (nice 19) and one core at most, so that it takes no time from the cluster's
processes. What is left of its being here is measured, too: `computes` is a flooder that only
computes. Each of some rounds measures the neighbour beside the flood and then alone, the flooder
stopped (SIGSTOP) and what it had asked for done; the figure is the median of the rounds' p99 beside
/ p99 alone. The first round begins with the flood's first call.

`QUORATE_BENCH_PYTHON` names the interpreter of another checkout whose cluster is to be measured.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration

from benchmarks.figures import Figure, Findings, at_most, median
from benchmarks.usage import load_average
from quorate.etcd.server.launcher import EtcdProcess
from quorate.security.credentials import tokens
from quorate.security.identity import Role
from quorate.v1 import queue_pb2, scheduler_pb2, scheduler_pb2_grpc, task_pb2

FLOODS: Final = ("watches", "json", "search", "waits", "fill")
CONTROL: Final = "computes"
TARGET: Final = at_most(1.5)
_REST: Final = 0.015
# Seconds of a round alone, of one beside, and between the end of a flood and a round alone.
_ROUND: Final = 3.5
_SETTLE: Final = 0.5
# Batches that were accepted are still being written.
_SETTLE_FILL: Final = 3.0
_DEADLINE: Final = 60.0
# etcd's, and the scheduler's default.
_QUOTA: Final = 2 << 30
_OPTIONS: Final = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
)


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """For each flood: the neighbour beside it and alone, in turns."""
    del nodes
    rounds = 1 if quick else 3
    findings = Findings()
    for flood in (CONTROL, *FLOODS):
        alone, beside, failed = compare(flood, slots, rounds)
        load = load_average()
        ratios = [
            quantile(busy, 0.99) / quantile(quiet, 0.99)
            for busy, quiet in zip(beside, alone, strict=True)
        ]
        note = f"median of {', '.join(f'{ratio:.1f}' for ratio in ratios)}; " + ", ".join(
            f"p50 {quantile(took, 0.5) * 1e3:.1f} p99 {quantile(took, 0.99) * 1e3:.1f} ms {when}"
            for took, when in (([*chain(*alone)], "alone"), ([*chain(*beside)], "beside"))
        )
        if failed:
            note += f"; {failed} calls failed"
        target = None if flood == CONTROL else TARGET
        name = f"neighbour's p99 beside {flood}"
        findings.figures.append(Figure(name, median(ratios), "x", target, note, load))
    return findings


def compare(
    flood: str, slots: int, rounds: int
) -> tuple[list[list[float]], list[list[float]], int]:
    """Seconds of the neighbour's tasks by round, alone and beside the flood, and failed calls."""
    alone: list[list[float]] = []
    beside: list[list[float]] = []
    failed = 0
    with cluster(slots) as (address, mine, theirs):
        channel = grpc.insecure_channel(address, options=_OPTIONS)
        rpc: Any = scheduler_pb2_grpc.SchedulerStub(channel)
        _measure(rpc, mine, 2.0)
        with flooding(flood, address, theirs) as flooder:
            for _ in range(rounds):
                took, lost = _measure(rpc, mine, _ROUND)
                beside.append(took)
                failed += lost
                os.kill(flooder, signal.SIGSTOP)
                time.sleep(_SETTLE_FILL if flood == "fill" else _SETTLE)
                took, lost = _measure(rpc, mine, _ROUND)
                alone.append(took)
                failed += lost
                os.kill(flooder, signal.SIGCONT)
        channel.close()
    return alone, beside, failed


def quantile(took: list[float], share: float) -> float:
    """Of some durations."""
    ordered = sorted(took)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _measure(rpc: Any, token: str, seconds: float) -> tuple[list[float], int]:
    """How long each of the neighbour's tasks took from create to result, and how many failed."""
    spec = task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="builtins:abs", json="[1]"))
    metadata = (("authorization", f"Bearer {token}"),)
    took: list[float] = []
    failed = 0
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        try:
            created = rpc.CreateTask(
                scheduler_pb2.CreateTaskRequest(spec=spec), timeout=10, metadata=metadata
            )
            rpc.WaitTask(
                scheduler_pb2.WaitTaskRequest(id=created.task.id, timeout=Duration(seconds=10)),
                timeout=15,
                metadata=metadata,
            )
        except grpc.RpcError:
            failed += 1
        took.append(time.monotonic() - began)
        time.sleep(_REST)
    return took, failed


@contextmanager
def cluster(slots: int) -> Iterator[tuple[str, str, str]]:
    """(address, the neighbour's token, the flooder's) of a cluster of one scheduler."""
    python = os.environ.get("QUORATE_BENCH_PYTHON", sys.executable)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quorate-floods-")))
        file = folder / "tokens"
        mine, theirs = (
            tokens.create(
                file,
                name,
                Role.ADMIN if name == "neighbour" else Role.SUBMITTER,
                now=dt.datetime.now(dt.UTC),
                lasts=None,
            )
            for name in ("neighbour", "flooder")
        )
        etcd = EtcdProcess(folder / "etcd", quota_bytes=_QUOTA)
        asyncio.run(etcd.start())
        stack.callback(lambda: asyncio.run(etcd.stop()))
        common = (f"--etcd={etcd.endpoint}", "--etcd-max-txn-ops=1024")
        address = stack.enter_context(
            _process(
                folder,
                (python, "-m", "scheduler", *common, "--listen=127.0.0.1:0", "--auth=tokens"),
                f"--auth-tokens-file={file}",
            )
        )
        stack.enter_context(
            _process(
                folder,
                (python, "-m", "node_agent", *common, "--listen=127.0.0.1:0", "--name=n1"),
                f"--slots={slots}",
                f"--data-dir={folder / 'n1'}",
            )
        )
        with grpc.insecure_channel(address) as channel:
            stub: Any = scheduler_pb2_grpc.SchedulerStub(channel)
            metadata = (("authorization", f"Bearer {mine}"),)
            name = scheduler_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name="flood"))
            stub.CreateQueue(name, timeout=_DEADLINE, metadata=metadata)
            pause = scheduler_pb2.PauseQueueRequest(name="flood")
            stub.PauseQueue(pause, timeout=_DEADLINE, metadata=metadata)
        yield address, mine, theirs


@contextmanager
def _process(folder: Path, command: tuple[str, ...], *flags: str) -> Iterator[str]:
    """The address of a process that is ready, until the block is left."""
    root = Path(command[0]).parents[2]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            (*command, *flags), cwd=root, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        if "ready" not in words:
            raise RuntimeError((folder / "log").read_text()[-2_000:])
        yield next(word.partition("=")[2] for word in words if word.startswith("address="))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def flooding(flood: str, address: str, token: str) -> Iterator[int]:
    """One of the floods in a process of its own, whose id it is, from when it has begun."""
    process = subprocess.Popen(
        (sys.executable, "-m", "benchmarks.tasks.floods", flood, address, token),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        process.wait()


def step_back() -> None:
    """Take the lowest priority, and one core of those that there are."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])


async def _flood(flood: str, address: str, token: str) -> None:
    if flood == CONTROL:
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        while True:
            pass
    metadata = (("authorization", f"Bearer {token}"),)
    channels = [grpc.aio.insecure_channel(address, options=_OPTIONS) for _ in range(8)]
    stubs: list[Any] = [scheduler_pb2_grpc.SchedulerStub(channel) for channel in channels]
    small = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]), name="a b c")

    async def again(number: int) -> None:
        stub = stubs[number % len(stubs)]
        while True:
            try:
                if flood == "watches":
                    watch = stub.WatchTasks(scheduler_pb2.WatchTasksRequest(), metadata=metadata)
                    async for _ in watch:
                        pass
                elif flood == "json":
                    text = '["' + "x" * (19 << 20) + '"]'
                    spec = task_pb2.TaskSpec(
                        python=task_pb2.PythonWork(entrypoint="a:b", json=text)
                    )
                    request = scheduler_pb2.CreateTaskRequest(queue="flood", spec=spec)
                    await stub.CreateTask(request, metadata=metadata)
                elif flood == "search":
                    text = " ".join("abctruez" if number % 2 else map(chr, range(97, 224)))
                    await stub.ListTasks(
                        scheduler_pb2.ListTasksRequest(text=text, queue="flood"), metadata=metadata
                    )
                elif flood == "waits":
                    hour = scheduler_pb2.WaitTaskRequest(id=first, timeout=Duration(seconds=3600))
                    await stub.WaitTask(hour, metadata=metadata)
                else:
                    spec = task_pb2.TaskSpec(
                        command=task_pb2.CommandWork(argv=["true"], stdin=b"x" * (38 << 10))
                    )
                    await stub.BatchCreateTasks(
                        scheduler_pb2.BatchCreateTasksRequest(queue="flood", specs=[spec] * 200),
                        metadata=metadata,
                    )
            except grpc.RpcError:
                # As a client does that does not care, and is no loop of nothing else.
                await asyncio.sleep(0.1)

    made = await stubs[0].CreateTask(
        scheduler_pb2.CreateTaskRequest(queue="flood", spec=small), metadata=metadata
    )
    first = made.task.id
    if flood == "search":
        for _ in range(4):
            many = scheduler_pb2.BatchCreateTasksRequest(queue="flood", specs=[small] * 5_000)
            await stubs[0].BatchCreateTasks(many, metadata=metadata)
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    count = {"watches": 512, "json": 4, "search": 8, "waits": 20_000, "fill": 2}[flood]
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(again(number))
            if number % 100 == 99:
                await asyncio.sleep(0.01)


if __name__ == "__main__":
    step_back()
    asyncio.run(_flood(*sys.argv[1:4]))
