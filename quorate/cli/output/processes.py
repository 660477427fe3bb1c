"""What a cluster consists of, for a person and for a program: its processes and its dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from quorate.cli.output import render
from quorate.client.transport.discovery import LocalCluster
from quorate.v1 import cluster_pb2, node_pb2

_NODE_STATE = "NODE_STATE_"


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a cluster.

    Attributes:
        role: `etcd`, `leader`, `standby`, `scheduler` (nobody leads), `node` or `gateway`.
        address: host:port where it serves.
        state: of a local process, such as `running`; of a node elsewhere, such as `ready`.
        pid, restarts: of a local cluster's process; None elsewhere, and while it does not run.
        version: of its program; None where nobody says.
    """

    name: str
    role: str
    address: str
    state: str = ""
    pid: int | None = None
    restarts: int | None = None
    version: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {**asdict(self), "leader": self.role == "leader"}


def dashboard_lines(cluster: LocalCluster) -> list[Text]:
    """Where the dashboard and the AMQP door are, and what a browser needs."""
    lines = [Text.assemble("Dashboard: ", (cluster.dashboard, "bold cyan"))]
    if cluster.amqp:
        lines.insert(0, Text.assemble("AMQP: ", (cluster.amqp, "bold cyan")))
        management = f"  RabbitMQ's management API, read-only: {cluster.amqp_management}"
        lines.insert(1, Text(management, style="dim"))
    if cluster.token_file:
        # Not the token: what is on a terminal is soon in a log.
        lines.append(Text(f"  It asks for a token. The token is in {cluster.token_file}"))
    if cluster.tls is not None:
        lines.append(Text(f"  CA of its certificate: {cluster.tls.ca_file}", style="dim"))
    return lines


def local_processes(
    local: LocalCluster,
    cluster: cluster_pb2.Cluster | None = None,
    nodes: Iterable[node_pb2.Node] = (),
) -> list[Process]:
    """Processes of a local cluster, with what the cluster itself says of them, once it answers."""
    schedulers = {one.name: one for one in cluster.schedulers} if cluster is not None else {}
    leader = next((one.name for one in schedulers.values() if one.leader), "")
    versions = {name: one.version for name, one in schedulers.items()}
    versions.update((node.name, node.version) for node in nodes)
    if cluster is not None:
        versions["etcd"] = cluster.etcd.version
    return [
        Process(
            one.name,
            _role(one.role, one.name == leader) if leader else one.role,
            one.address,
            one.state,
            one.pid or None,
            one.restarts,
            versions.get(one.name) or None,
        )
        for one in local.processes
    ]


def remote_processes(cluster: cluster_pb2.Cluster, nodes: Iterable[node_pb2.Node]) -> list[Process]:
    """Schedulers and nodes of a cluster anywhere, as it knows them itself."""
    # Without a leader there is no answer that this could be made of.
    found = [
        Process(one.name, _role("scheduler", one.leader), one.address, version=one.version or None)
        for one in cluster.schedulers
    ]
    for node in nodes:
        state = node_pb2.NodeState.Name(node.state).removeprefix(_NODE_STATE).lower()
        found.append(Process(node.name, "node", node.address, state, version=node.version or None))
    return found


def _role(role: str, leads: bool) -> str:
    if role != "scheduler":
        return role
    return "leader" if leads else "standby"


def _short_address(address: str) -> str:
    """Not the path of a socket, which may be longer than a line."""
    return "(a socket)" if address.startswith("unix:") else address


def process_table(processes: Sequence[Process]) -> Table:
    """Processes of a local cluster; with their versions only if these differ."""
    versions = {one.version for one in processes if one.role != "etcd" and one.version}
    more = ("VERSION",) if len(versions) > 1 else ()
    table = render.table(
        *("PROCESS", "ROLE", "STATE", "PID", "RESTARTS", "ADDRESS", *more),
        right=("PID", "RESTARTS"),
        short={"ADDRESS": _short_address},
        drop=(*more, "RESTARTS", "PID", "STATE", "ROLE"),
    )
    for process in processes:
        table.add_row(
            process.name,
            Text(process.role, style="bold green" if process.role == "leader" else ""),
            render.state_text(process.state),
            str(process.pid or "-"),
            "-" if process.restarts is None else str(process.restarts),
            # The port of a socket says nothing.
            process.address.removesuffix(":0"),
            *([process.version or "-"] if more else ()),
        )
    return table
