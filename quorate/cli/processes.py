"""What a cluster on this machine consists of, for a person: its processes and its dashboard."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from quorate.cli import render
from quorate.client.discovery import LocalCluster


def dashboard_lines(cluster: LocalCluster) -> list[Text]:
    """Where the dashboard is, and what a browser needs for it."""
    lines = [Text.assemble("Dashboard: ", (cluster.dashboard, "bold cyan"))]
    if cluster.token_file:
        # Not the token: what is on a terminal is soon in a log.
        lines.append(Text(f"  it asks for a token: the one in {cluster.token_file}"))
    if cluster.tls is not None:
        lines.append(Text(f"  its certificate is of {cluster.tls.ca_file}", style="dim"))
    return lines


def process_table(cluster: LocalCluster, *, leader: str = "") -> Table:
    """Processes of a local cluster."""
    table = render.table(
        "PROCESS", "ROLE", "STATE", "PID", "RESTARTS", "ADDRESS", right=("PID", "RESTARTS")
    )
    for process in cluster.processes:
        role = Text(process.role)
        if process.name == leader:
            role = Text("leader", style="bold green")
        elif process.role == "scheduler" and leader:
            role = Text("standby")
        table.add_row(
            process.name,
            role,
            render.state_text(process.state),
            str(process.pid or "-"),
            str(process.restarts or "-"),
            process.address,
        )
    return table
