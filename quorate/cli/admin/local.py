"""`up` and `down`: a cluster on this machine."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import Annotated

import grpc
import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from quorate.cli.common import DataDir, data_dir_of
from quorate.cli.exits import FAILED, OK, USAGE, sentence_of
from quorate.cli.output import render
from quorate.cli.output.processes import dashboard_lines, local_processes, process_table
from quorate.cli.output.render import err, hint, out
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.discovery import LocalCluster, command_for
from quorate.client.transport.rpcs import GET_CLUSTER
from quorate.etcd.server.binary import provide_etcd
from quorate.local import background
from quorate.local.plan import AMQP_PORT, AMQPS_PORT, GATEWAY_PORT, LocalPlan
from quorate.local.supervisor import Supervisor
from quorate.runtime.errors import QuorateError
from quorate.runtime.sizes import plural
from quorate.v1 import cluster_pb2, scheduler_pb2

_TRY = "submit --wait -- echo hello"
# Seconds between looks at the cluster while the table is shown.
_REFRESH = 0.5


def up(
    schedulers: Annotated[
        int, typer.Option(help="Number of schedulers. One leads, the others are standbys.")
    ] = 2,
    nodes: Annotated[int, typer.Option(help="Number of node agents.")] = 3,
    slots: Annotated[
        int,
        typer.Option(
            help="Number of attempts that a node runs at a time. \\[default: cores / nodes]",
            show_default=False,
        ),
    ] = 0,
    port: Annotated[
        int,
        typer.Option(
            help="Port of the first scheduler. The others use the next ports. "
            "\\[default: free ones]",
            show_default=False,
        ),
    ] = 0,
    gateway: Annotated[
        bool,
        typer.Option("--gateway/--no-gateway", help="A gateway: the dashboard and the REST API."),
    ] = True,
    gateway_port: Annotated[
        int,
        typer.Option(
            help=f"Port of dashboard and REST API. \\[default: {GATEWAY_PORT} or a free one]",
            show_default=False,
        ),
    ] = 0,
    amqp: Annotated[
        bool,
        typer.Option(
            "--amqp",
            help="AMQP 0-9-1 and a read-only management API at the gateway, for clients of "
            "RabbitMQ. \\[default: off]",
        ),
    ] = False,
    amqp_port: Annotated[
        int,
        typer.Option(
            help=f"Port for AMQP. \\[default: {AMQP_PORT}, with TLS {AMQPS_PORT}, or a free one]",
            show_default=False,
        ),
    ] = 0,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls",
            envvar="QUORATE_UP_TLS",
            help="Mutual TLS between all processes, and HTTPS for the dashboard. Certificates are "
            "created below the data dir. Commands find them there. \\[default: off]",
        ),
    ] = False,
    secure: Annotated[
        bool,
        typer.Option(
            "--secure",
            envvar="QUORATE_UP_SECURE",
            help="As --tls, also to etcd, and callers need a token. An admin token is created "
            "below the data dir. Commands find it there. \\[default: off]",
        ),
    ] = False,
    cluster: Annotated[str, typer.Option(help="Name of the cluster.")] = "local",
    data_dir: DataDir = None,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", "-d", help="Run in the background, and return when the cluster is ready."
        ),
    ] = False,
) -> int:
    """Run a cluster here: etcd, schedulers, node agents, dashboard. Ctrl-C stops it."""
    try:
        plan = LocalPlan(
            data_dir=data_dir_of(data_dir),
            cluster=cluster,
            schedulers=schedulers,
            nodes=nodes,
            slots=slots,
            port=port,
            gateway=gateway,
            gateway_port=gateway_port,
            amqp=amqp or amqp_port != 0,
            amqp_port=amqp_port,
            tls=tls,
            secure=secure,
        )
        # Before the table of processes: the first time it may be a download.
        provide_etcd(hint)
        if detach:
            with err.status("Starting a cluster"):
                started = background.start(plan)
            if started.dashboard:
                out.print(*dashboard_lines(started), sep="\n")
                out.print()
            render.show(process_table(local_processes(started)))
            directory = data_dir_of(data_dir)
            hint("\nThe cluster runs in the background. Try:")
            hint(f"  {command_for(_TRY, directory)}")
            hint("Stop it:")
            hint(f"  {command_for('down', directory)}")
            return OK
        asyncio.run(_Foreground(plan).run())
    except QuorateError as error:
        err.print(f"quorate: {sentence_of(error)}", markup=False)
        return USAGE if error.code is grpc.StatusCode.INVALID_ARGUMENT else FAILED
    return OK


def down(data_dir: DataDir = None) -> int:
    """Stop the local cluster. Its data stays: 'quorate up' goes on from there."""
    directory = data_dir_of(data_dir)
    with err.status("Stopping the cluster"):
        stopped = background.stop(directory)
    if stopped:
        out.print(f"Stopped. Its data stays in {directory}", markup=False)
    else:
        hint(f"No cluster is running in {directory}")
        hint(f"Start one: {command_for('up', directory)}")
    return OK


class _Foreground:
    """A supervisor with a table on the terminal, or plain lines where there is none."""

    def __init__(self, plan: LocalPlan) -> None:
        self._plan = plan
        self._supervisor = Supervisor(plan, self._on_change)
        self._seen: dict[str, str] = {}
        self._info: cluster_pb2.Cluster | None = None
        self._stopping = 0
        self._finished = False
        self._said_ready = False
        # Without its refresh thread: forking beside a thread is asking for trouble.
        self._live = Live(console=out, auto_refresh=False, transient=False)

    async def run(self) -> None:
        """Run the cluster until Ctrl-C or SIGTERM."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(signum, self._stop)
        if not out.is_terminal:
            await self._supervisor.run()
            return
        with self._live:
            watching = asyncio.create_task(self._watch())
            try:
                await self._supervisor.run()
                self._finished = True
            except QuorateError:
                # The sentence says it all; a table of what was half started would not.
                self._live.transient = True
                raise
            finally:
                watching.cancel()
                await asyncio.wait([watching])
                self._draw()

    def _stop(self) -> None:
        self._stopping += 1
        self._supervisor.stop()
        self._draw()

    def _on_change(self, cluster: LocalCluster) -> None:
        if out.is_terminal:
            self._draw()
            return
        if cluster.dashboard and not self._seen:
            sys.stdout.write(f"dashboard {cluster.dashboard}\n")
            if cluster.amqp:
                sys.stdout.write(f"amqp {cluster.amqp}\n")
                sys.stdout.write(f"amqp-management {cluster.amqp_management}\n")
            if cluster.token_file:
                sys.stdout.write(f"token-file {cluster.token_file}\n")
        for process in cluster.processes:
            if self._seen.get(process.name) != process.state:
                self._seen[process.name] = process.state
                sys.stdout.write(f"{process.name} {process.state} {process.address}\n")
        if cluster.ready and not self._said_ready:
            self._said_ready = True
            sys.stdout.write(f"ready {','.join(cluster.addresses)}\n")
        sys.stdout.flush()

    async def _watch(self) -> None:
        """Ask now and then who leads and how much there is to do."""
        calls: AsyncCalls | None = None
        try:
            while True:
                snapshot = self._supervisor.snapshot
                if snapshot.ready and not self._stopping:
                    calls = calls or AsyncCalls(snapshot.access)
                    try:
                        request = scheduler_pb2.GetClusterRequest()
                        answer = await calls.call(GET_CLUSTER, request, deadline=1, retry_for=1)
                        self._info = answer.cluster
                    except QuorateError:
                        self._info = None
                self._draw()
                await asyncio.sleep(_REFRESH)
        finally:
            if calls is not None:
                await calls.close()

    def _draw(self) -> None:
        if not self._live.is_started:
            return
        snapshot, info = self._supervisor.snapshot, self._info
        processes = local_processes(snapshot, None if self._finished else info)
        lines: list[Text | Table] = []
        if snapshot.dashboard:
            lines += [*dashboard_lines(snapshot), Text()]
        lines += [process_table(processes), Text(), self._footer(snapshot, info)]
        self._live.update(Group(*lines), refresh=True)

    def _footer(self, snapshot: LocalCluster, info: cluster_pb2.Cluster | None) -> Text:
        if self._finished:
            return Text(f"Stopped. The data stays in {self._plan.data_dir}")
        if self._stopping > 1:
            return Text("Killing what is left.", style="yellow")
        if self._stopping:
            return Text("Stopping: nodes, then schedulers, then etcd. Ctrl-C again to kill.")
        if not snapshot.ready:
            waited = render.seconds(time.time() - snapshot.started)
            return Text(f"Starting ({waited}). Ctrl-C stops it.", style="cyan")
        if info is None:
            return Text("No leader at the moment. Ctrl-C stops the cluster.", style="yellow")
        return Text.assemble(
            f"Ready: {plural(info.nodes, 'node')}, "
            f"{plural(info.live_tasks, 'unfinished task')}. Ctrl-C stops the cluster.\n",
            ("In another terminal, try:\n", "dim"),
            (command_for(_TRY, data_dir_of(self._plan.data_dir)), "dim"),
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("down")(down)
