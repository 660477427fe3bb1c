"""`status`: the cluster at one glance."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from quorate.cli.cluster.queues import has_subtasks, queue_table
from quorate.cli.common import Json, with_client
from quorate.cli.output import render
from quorate.cli.output.listing import Details
from quorate.cli.output.processes import local_processes, process_table, remote_processes
from quorate.cli.output.render import hint
from quorate.client.client import Client
from quorate.client.pages import list_nodes, list_queues
from quorate.client.transport.discovery import LocalCluster, default_data_dir, read_local_cluster
from quorate.client.transport.rpcs import GET_CLUSTER
from quorate.runtime.errors import QuorateError
from quorate.runtime.sizes import plural, size_text
from quorate.v1 import cluster_pb2, node_pb2, scheduler_pb2

_SEVERITIES = {
    cluster_pb2.SEVERITY_UNSPECIFIED: ("", ""),
    cluster_pb2.SEVERITY_NOTE: ("dim", "note"),
    cluster_pb2.SEVERITY_WARNING: ("yellow", "warning"),
    cluster_pb2.SEVERITY_ERROR: ("bold red", "error"),
}
# Whoever calls where authentication is off.
_ANONYMOUS = "anonymous"


@with_client
def status(client: Client, as_json: Json = False) -> None:
    """Show the cluster: leader, schedulers, nodes, queues, processes of a local cluster.

    Of the queues, RUNNING includes assigned tasks, and LONGEST WAIT is how long the oldest pending
    task has waited.
    """
    answer = client.calls.call(GET_CLUSTER, scheduler_pb2.GetClusterRequest())
    cluster, caller = answer.cluster, answer.caller
    nodes, queues = list(list_nodes(client.calls)), list(list_queues(client.calls))
    local = _local(client.addresses, client.data_dir)
    processes = (
        remote_processes(cluster, nodes)
        if local is None
        else local_processes(local, cluster, nodes)
    )
    if as_json:
        document = render.as_dict(cluster)
        document["caller"] = render.as_dict(caller)
        document["processes"] = [process.as_dict() for process in processes]
        document["nodeList"] = [render.as_dict(node) for node in nodes]
        document["queueList"] = [render.as_dict(queue) for queue in queues]
        document["local"] = None if local is None else render.local_dict(local)
        render.print_json(document)
        return
    _say_verdict(cluster)
    summary = _summary(cluster, nodes)
    # A scheduler of an earlier version says nothing of it.
    if caller.name:
        bound = f", bound to {', '.join(caller.patterns)}" if caller.patterns else ""
        off = " (authentication is off)" if caller.name == _ANONYMOUS else ""
        summary.add_row("You", f"{caller.name}{bound}{off}")
    if local is not None and local.dashboard:
        summary.add_row("Dashboard", local.dashboard)
        if local.token_file:
            summary.add_row("", f"It asks for a token. The token is in {local.token_file}")
    if local is not None and local.amqp:
        summary.add_row("AMQP", local.amqp)
        summary.add_row("", f"management API: {local.amqp_management}")
    render.show(summary)
    render.show("")
    if local is not None:
        render.show(process_table(processes))
    else:
        render.show(_schedulers(cluster))
    render.show("")
    render.show(queue_table(queues))
    if has_subtasks(client):
        hint("The table counts subtasks of jobs, too. The line 'Tasks' does not.")


def _say_verdict(cluster: cluster_pb2.Cluster) -> None:
    """All is well, or what is not: as the dashboard says it."""
    if not cluster.HasField("problems_time"):
        # A leader of an earlier version does not look.
        return
    bad = [one for one in cluster.problems if one.severity > cluster_pb2.SEVERITY_NOTE]
    render.show(
        Text("All is well." if not bad else f"{plural(len(bad), 'problem')}:", style="bold")
    )
    for one in cluster.problems:
        style, word = _SEVERITIES[one.severity]
        line = Text.assemble("  ", (f"{word:<8}", style), one.sentence)
        if one.severity > cluster_pb2.SEVERITY_NOTE:
            line.append(f" Since {render.ago(one.since)}.", style="dim")
        render.show(line)
    render.show("")


def _local(addresses: list[str], data_dir: Path | None) -> LocalCluster | None:
    """The local cluster behind these addresses, if that is what they belong to."""
    try:
        local = read_local_cluster(data_dir or default_data_dir())
    except QuorateError:
        return None
    if local is None or not set(local.addresses) & set(addresses):
        return None
    return local


def _leader(cluster: cluster_pb2.Cluster) -> str:
    return next((replica.name for replica in cluster.schedulers if replica.leader), "")


def _summary(cluster: cluster_pb2.Cluster, nodes: list[node_pb2.Node]) -> Table:
    table = Details()
    name = _leader(cluster)
    leader = f"scheduler {name}" if name else "none"
    table.add_row("Cluster", f"{cluster.name} (quorate {cluster.version})")
    table.add_row("Leader", f"{leader}, for {render.ago(cluster.leader_since)}")
    lost = sum(node.state == node_pb2.NODE_STATE_LOST for node in nodes)
    nodes = [node for node in nodes if node.state != node_pb2.NODE_STATE_LOST]
    ready = sum(node.state == node_pb2.NODE_STATE_READY for node in nodes)
    slots, waiting = sum(node.slots for node in nodes), sum(node.stats.yielded for node in nodes)
    busy = max(0, sum(node.running for node in nodes) - waiting)
    wait = "waits" if waiting == 1 else "wait"
    gone = f"; {lost} lost" if lost else ""
    more = f"; {plural(waiting, 'task')} {wait} for other tasks" if waiting else ""
    table.add_row(
        "Nodes", f"{ready} of {len(nodes)} ready, {busy} of {slots} slots busy{more}{gone}"
    )
    table.add_row(
        "Tasks",
        f"{cluster.live_tasks:,} unfinished, {cluster.retained_tasks:,} finished (still stored)",
    )
    etcd = cluster.etcd
    quota = f" of {size_text(etcd.db_quota)}" if etcd.db_quota else ""
    members = "1 member" if etcd.members == 1 else f"{etcd.members} members"
    table.add_row("etcd", f"{etcd.version}, {members}, {size_text(etcd.db_size)}{quota}")
    return table


def _schedulers(cluster: cluster_pb2.Cluster) -> Table:
    table = render.table("SCHEDULER", "ROLE", "ADDRESS")
    for replica in cluster.schedulers:
        role = Text("leader", style="green") if replica.leader else Text("standby")
        table.add_row(replica.name, role, replica.address)
    return table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)
