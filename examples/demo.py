"""The demo: real work on a local cluster whose leader and a node are killed meanwhile.

    python examples/demo.py [--schedulers 2] [--nodes 3] [--slots 1] [--limit FILES] [--keep]

Starts etcd, schedulers and node agents as separate processes, has every file of the Python
standard library tokenised by them, scrapes all metrics when a sixth of the files is done, kills the
leading scheduler (SIGKILL) when a third is and a node agent when two thirds are, and waits for the
end. Then it runs a job of 50,000 subtasks, whose results reduces add up. It computes all of it in
this process too and compares. Exit code 0 only when both agree, every documented metric was there
and nothing is left running.

The two times that the table ends with are of different things: the cluster's includes both kills, a
durable write for each task and each result, and the work on all cores that the nodes share; one
process keeps nothing and survives nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from rich.table import Table

CHECKOUT = Path(__file__).resolve().parents[1]
if str(CHECKOUT) not in sys.path:
    sys.path.insert(0, str(CHECKOUT))

from examples import demo_metrics  # noqa: E402
from examples.demo_cluster import START_TIMEOUT, DemoCluster, FileProgress, console  # noqa: E402
from examples.demo_job import JobFindings, run_job  # noqa: E402
from examples.stdlib_stats import FileStats, Summary, combine, measure, standard_library  # noqa: E402
from quorate import Client  # noqa: E402
from quorate.client.transport.discovery import LocalCluster  # noqa: E402
from quorate.runtime.errors import QuorateError  # noqa: E402
from quorate.security.tls.dialer import Dialer  # noqa: E402
from quorate.v1 import scheduler_pb2, scheduler_pb2_grpc  # noqa: E402

# Seconds.
MAP_TIMEOUT = 180.0
_LOOK = 0.002


@dataclass(slots=True)
class Outage:
    """How long nobody led."""

    epoch_before: int = 0
    epoch_after: int = 0
    milliseconds: float = 0.0


@dataclass(slots=True)
class Findings:
    """What the table says."""

    files: int = 0
    cluster_seconds: float = 0.0
    single_seconds: float = 0.0
    tasks: int = 0
    attempts: int = 0
    node_killed: str = ""
    summary: Summary | None = None
    outage: Outage = field(default_factory=Outage)
    differences: int = 0
    job: JobFindings = field(default_factory=lambda: JobFindings(0, 0.0, 0))
    metrics: int = 0
    metrics_missing: list[str] = field(default_factory=list)
    left_running: list[str] = field(default_factory=list)


class OutageClock(threading.Thread):
    """Kills the leader and asks the other schedulers until one answers under a new epoch."""

    def __init__(self, pid: int, others: Sequence[str], epoch: int, local: LocalCluster) -> None:
        super().__init__(name="outage-clock", daemon=True)
        self._dialer = Dialer(local.tls)
        self._token = local.bearer.metadata() if local.bearer else ()
        self.outage = Outage(epoch_before=epoch)
        self._pid = pid
        self._others = others

    def run(self) -> None:
        channels = [self._dialer.open_sync(address) for address in self._others]
        stubs = [scheduler_pb2_grpc.SchedulerStub(channel) for channel in channels]
        request = scheduler_pb2.GetClusterRequest()
        for stub in stubs:
            # Connected before the kill: otherwise the clock would measure connecting too.
            self._epoch(stub, request)
        os.kill(self._pid, signal.SIGKILL)
        start = time.perf_counter()
        while not self.outage.epoch_after and time.perf_counter() - start < START_TIMEOUT:
            for stub in stubs:
                epoch = self._epoch(stub, request)
                if epoch > self.outage.epoch_before:
                    self.outage.epoch_after = epoch
                    self.outage.milliseconds = (time.perf_counter() - start) * 1000
                    break
            else:
                time.sleep(_LOOK)
        for channel in channels:
            channel.close()

    def _epoch(
        self, stub: scheduler_pb2_grpc.SchedulerStub, request: scheduler_pb2.GetClusterRequest
    ) -> int:
        try:
            answer = stub.GetCluster(request, timeout=1.0, metadata=self._token)
            return int(answer.cluster.epoch)
        except grpc.RpcError:
            return 0


def kill_leader(client: Client, cluster: DemoCluster) -> OutageClock:
    """SIGKILL whoever leads."""
    info = client.cluster()
    leader = next(replica for replica in info.schedulers if replica.leader)
    others = [replica.address for replica in info.schedulers if not replica.leader]
    process = cluster.find(leader.name)
    console.print(f"[red]SIGKILL[/red] to the leader {leader.name} (process {process.pid})")
    clock = OutageClock(process.pid, others, info.epoch, cluster.read())
    clock.start()
    return clock


def kill_node(cluster: DemoCluster, nodes: int) -> str:
    """SIGKILL the last node agent; its attempts run elsewhere."""
    process = cluster.find(f"n{nodes}")
    console.print(f"[red]SIGKILL[/red] to the node {process.name} (process {process.pid})")
    os.kill(process.pid, signal.SIGKILL)
    return process.name


def look_at_metrics(client: Client, cluster: DemoCluster, findings: Findings) -> None:
    """Scrape every process while all of them are there and at work."""
    findings.metrics, findings.metrics_missing = demo_metrics.check(cluster.read())
    lacking = len(findings.metrics_missing)
    seen = f"{lacking} missing" if lacking else "all there"
    console.print(f"metrics: {findings.metrics} documented series, {seen}")
    demo_metrics.stop_service(client)


def run_map(
    client: Client, cluster: DemoCluster, files: list[str], nodes: int, findings: Findings
) -> list[FileStats]:
    """Measure all files on the cluster, killing as we go."""
    done: list[FileStats] = []
    clock: OutageClock | None = None
    bounded = client.options(queue="default", name="stdlib", crash_limit=10, timeout=60.0)
    with FileProgress("files on the cluster", len(files)) as progress:
        for stats in bounded.map(measure, files, timeout=MAP_TIMEOUT):
            done.append(stats)
            progress.advance()
            if not findings.metrics and len(done) >= len(files) // 6:
                look_at_metrics(client, cluster, findings)
            if clock is None and len(done) >= len(files) // 3:
                cluster.note_processes()
                clock = kill_leader(client, cluster)
            if not findings.node_killed and len(done) >= 2 * len(files) // 3:
                cluster.note_processes()
                findings.node_killed = kill_node(cluster, nodes)
    assert clock is not None
    clock.join()
    findings.outage = clock.outage
    return done


def work(client: Client, cluster: DemoCluster, files: list[str], nodes: int) -> Findings:
    """Everything between start and stop."""
    findings = Findings(files=len(files))
    demo_metrics.use_gateway(cluster.read())
    start = time.perf_counter()
    on_cluster = run_map(client, cluster, files, nodes, findings)
    findings.summary = client.options(name="combine").submit(combine, on_cluster).result(60)
    findings.cluster_seconds = time.perf_counter() - start
    for task in client.tasks(page_size=1000):
        findings.tasks += 1
        findings.attempts += task.attempt
    findings.job = run_job(client)

    start = time.perf_counter()
    here = []
    with FileProgress("the same in one process", len(files)) as progress:
        for path in files:
            here.append(measure(path))
            progress.advance()
    expected = combine(here)
    findings.single_seconds = time.perf_counter() - start
    findings.differences = sum(a != b for a, b in zip(on_cluster, here, strict=True))
    findings.differences += findings.summary != expected
    findings.differences += findings.job.differences
    return findings


def report(findings: Findings) -> None:
    """The table."""
    summary, outage = findings.summary, findings.outage
    assert summary is not None
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(style="bold")
    table.add_column(justify="right")
    cores = len(os.sched_getaffinity(0))
    for name, value in (
        ("files", f"{findings.files:,}"),
        ("lines", f"{summary.lines:,}"),
        ("tokens", f"{summary.tokens:,}"),
        ("definitions", f"{summary.definitions:,}"),
        ("tasks", f"{findings.tasks:,}"),
        ("attempts (a killed node's tasks run again)", f"{findings.attempts:,}"),
        ("subtasks of one job", f"{findings.job.subtasks:,}"),
        ("seconds of that job", f"{findings.job.seconds:.1f}"),
        ("its result, by two levels of reduces", f"{findings.job.total:,}"),
        ("leader epoch before", f"{outage.epoch_before}"),
        ("leader epoch after", f"{outage.epoch_after}"),
        ("milliseconds without a leader", f"{outage.milliseconds:.0f}"),
        ("differences from the results of one process", f"{findings.differences}"),
        ("left running", f"{len(findings.left_running)}"),
        (f"seconds, durable, two kills survived, {cores} cores", f"{findings.cluster_seconds:.1f}"),
        ("seconds, one process, nothing kept, nothing killed", f"{findings.single_seconds:.1f}"),
    ):
        table.add_row(name, value)
    console.print()
    console.print(table)


def verdict(findings: Findings) -> int:
    """0 when everything is as it has to be; otherwise what is not."""
    failures = []
    if findings.differences:
        failures.append(f"{findings.differences} results differ from those of one process")
    if findings.outage.epoch_after <= findings.outage.epoch_before:
        failures.append("no other leader followed")
    if findings.metrics_missing:
        failures.append("metrics not there: " + ", ".join(findings.metrics_missing))
    if findings.left_running:
        failures.append("still running: " + "; ".join(findings.left_running))
    for failure in failures:
        console.print(f"[red]{failure}[/red]")
    if not failures:
        console.print("\n[green]The same results, nothing lost, nothing left running.[/green]")
    return 1 if failures else 0


def main() -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(description="Real work on a cluster that is being killed.")
    parser.add_argument("--schedulers", type=int, default=2)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--slots", type=int, default=0, help="of each node; 0: by cores")
    parser.add_argument("--limit", type=int, default=0, help="only so many files; 0: all")
    parser.add_argument("--keep", action="store_true", help="keep the cluster's folder")
    options = parser.parse_args()
    files = standard_library()[: options.limit or None]
    folder = Path(tempfile.mkdtemp(prefix="quorate-demo-"))
    console.print(
        f"Starting etcd, {options.schedulers} schedulers and {options.nodes} nodes in {folder}"
    )
    cluster = DemoCluster(folder / "data", options.schedulers, options.nodes, options.slots)
    signal.signal(signal.SIGTERM, _interrupt)
    findings, failed = None, ""
    try:
        up = cluster.wait_until_up()
        console.print(f"Dashboard: [bold]{up.dashboard}[/bold]")
        console.print(f"Up at {', '.join(up.addresses)}; {len(files):,} files to tokenise")
        with Client(data_dir=folder / "data") as client:
            findings = work(client, cluster, files, options.nodes)
    except (QuorateError, OSError, subprocess.SubprocessError) as error:
        failed = str(error)
    finally:
        console.print("Stopping the cluster")
        left = cluster.stop()
        if options.keep:
            console.print(f"Kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if findings is None:
        console.print(f"[red]demo: {failed}[/red]")
        return 1
    findings.left_running = left
    report(findings)
    return verdict(findings)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
