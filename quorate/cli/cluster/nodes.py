"""Commands about nodes: `nodes`, `cordon`, `uncordon`, `drain`, `taint`, `untaint`, `node`."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer
from rich.text import Text

from quorate.cli.common import Json, with_client
from quorate.cli.exits import OK, TIMED_OUT
from quorate.cli.hints import command
from quorate.cli.output import render
from quorate.cli.output.render import err, hint
from quorate.cli.output.waiting import cannot_write
from quorate.client.client import Client
from quorate.client.pages import list_nodes
from quorate.client.transport.rpcs import (
    CORDON_NODE,
    DISMISS_NODE,
    DRAIN_NODE,
    GET_NODE,
    TAINT_NODE,
    UNCORDON_NODE,
    UNTAINT_NODE,
    new_request_id,
)
from quorate.client.work import placing
from quorate.runtime.sizes import plural
from quorate.v1 import node_pb2, scheduler_pb2

_LOOK = 0.2
group = typer.Typer(help="Dismiss a lost node.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NODE", help="The node's name.")]


@with_client
def nodes(
    client: Client,
    idle: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Minimum idle time of the nodes to list, in seconds; longest idle first. "
            "\\[default: all nodes]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the nodes with their load.

    RUNNING is the number of tasks and replicas that run. Some of them use no slot: replicas, and
    tasks that wait for other tasks; "(1 waiting)" is the number of the latter. HOST CPU and HOST
    MEM are the load of the whole machine. UP is how long the node has been in the cluster.

    A node that was lost stays in the list, in the state LOST, until its agent is back or until you
    dismiss it: quorate node dismiss NODE.
    """
    found = list(list_nodes(client.calls))
    if idle is not None:
        found = idle_for(found, idle, time.time())
    if as_json:
        render.print_messages(found)
        return
    if not found and idle is not None:
        hint(f"No node has been idle for {idle:g} s.")
        return
    if not found:
        hint("No nodes. Start one: python -m node_agent --etcd HOST:PORT --name n1")
        return
    table = render.table(
        *("NODE", "STATE", "RUNNING", "SLOTS", "HOST CPU", "HOST MEM", "ADDRESS", "UP"),
        right=_FIGURES,
        drop=("UP", "ADDRESS", "HOST MEM", "HOST CPU"),
    )
    for node in found:
        table.add_row(*_row(node))
    render.show(table)
    # Whatever their state: a cordoned one takes no work for two reasons.
    for node in found:
        if node.HasField("loss"):
            dismissing = command(f"node dismiss {node.name}")
            hint(f"{node.name} {loss_text(node.loss)}. {_FORGET}: {dismissing}")
        if node.stats.disk_error:
            hint(f"{node.name} {cannot_write(node)}.")
        if taints := taints_text(node):
            hint(f"{node.name} has the taints {taints}.")


def idle_for(found: list[node_pb2.Node], seconds: float, now: float) -> list[node_pb2.Node]:
    """Those that hold nothing and have not for `seconds`, the longest first: what may go first.

    `now` is this machine's clock, in seconds since the epoch; since when is by the leader's.
    """
    resting = [
        node
        for node in found
        if node.HasField("idle_since") and now - node.idle_since.ToNanoseconds() / 1e9 >= seconds
    ]
    return sorted(resting, key=lambda node: (node.idle_since.ToNanoseconds(), node.name))


_FORGET = "If it will not come back, dismiss it"


def loss_text(loss: node_pb2.NodeLoss) -> str:
    """When and why a node was lost, and what it ran; behind the node's name."""
    had = plural(loss.attempts, "attempt") if loss.attempts else "nothing"
    return f"was lost {render.ago(loss.time)} ago ({loss.why}); it had {had}"


_FIGURES = ("RUNNING", "SLOTS", "HOST CPU", "HOST MEM")


def _row(node: node_pb2.Node) -> list[str | Text]:
    stats, lost = node.stats, node.HasField("loss")
    memory = f"{stats.memory_used / stats.memory_total:.0%}" if stats.memory_total else "-"
    return [
        node.name,
        render.state_text(render.node_state(node)),
        "-" if lost else running(node),
        str(node.slots),
        f"{stats.cpu:.0%}" if stats.memory_total else "-",
        memory,
        node.address,
        "-" if lost else render.ago(node.register_time),
    ]


def running(node: node_pb2.Node) -> str:
    """How many tasks run; of those that have given their slots up it says so."""
    waiting = node.stats.yielded
    return f"{node.running} ({waiting} waiting)" if waiting else str(node.running)


@with_client
def cordon(client: Client, node: Name) -> None:
    """Assign no new work to a node; running attempts go on."""
    request = scheduler_pb2.CordonNodeRequest(name=node, request_id=new_request_id())
    found = client.calls.call(CORDON_NODE, request).node
    _say(found)
    if found.state in (node_pb2.NODE_STATE_DRAINING, node_pb2.NODE_STATE_DRAINED):
        hint(f"Nothing changed: {node} is being drained or was, which includes cordon.")


@with_client
def uncordon(client: Client, node: Name) -> None:
    """Assign work to a node again; undoes cordon and drain."""
    request = scheduler_pb2.UncordonNodeRequest(name=node, request_id=new_request_id())
    _say(client.calls.call(UNCORDON_NODE, request).node)


@with_client
def drain(
    client: Client,
    node: Name,
    grace: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="Time that running attempts have to finish, in seconds."
        ),
    ] = 30.0,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait until the node is empty.")
    ] = False,
) -> int:
    """Empty a node: it gets no new work, and running attempts have --grace seconds to finish.

    After that they are stopped. Their tasks run again on other nodes. This does not count as a
    failure.
    """
    request = scheduler_pb2.DrainNodeRequest(name=node, request_id=new_request_id())
    request.grace.FromNanoseconds(int(grace * 1e9))
    found = client.calls.call(DRAIN_NODE, request).node
    end = time.monotonic() + grace + 10
    while wait and found.state != node_pb2.NODE_STATE_DRAINED:
        if time.monotonic() > end:
            count = plural(found.assigned, "attempt")
            err.print(f"quorate: node {node} still has {count}")
            return TIMED_OUT
        time.sleep(_LOOK)
        found = client.calls.call(GET_NODE, scheduler_pb2.GetNodeRequest(name=node)).node
    _say(found)
    return OK


@group.command("dismiss")
@with_client
def dismiss(client: Client, node: Name) -> None:
    """Forget a lost node: it is listed no longer. Its cordon and taints stay."""
    request = scheduler_pb2.DismissNodeRequest(name=node, request_id=new_request_id())
    client.calls.call(DISMISS_NODE, request)
    sys.stdout.write(f"{node} dismissed\n")


@with_client
def taint(
    client: Client,
    node: Name,
    taints: Annotated[
        list[str], typer.Argument(metavar="KEY[=VALUE]...", help="Taints, such as dedicated=ml.")
    ],
) -> None:
    """Keep tasks away from a node unless they tolerate its taints (submit --tolerate).

    What runs there goes on. The taints stay when the node's agent restarts.
    """
    for word in taints:
        request = scheduler_pb2.TaintNodeRequest(
            name=node, taint=placing.taint("taint", word), request_id=new_request_id()
        )
        found = client.calls.call(TAINT_NODE, request).node
    _say_taints(found)


@with_client
def untaint(
    client: Client,
    node: Name,
    taints: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY[=VALUE]...", help="Taints to remove; KEY alone: whatever their values."
        ),
    ],
) -> None:
    """Remove taints from a node; undoes taint."""
    for word in taints:
        key, equals, value = word.partition("=")
        request = scheduler_pb2.UntaintNodeRequest(
            name=node, key=key, value=value if equals else None, request_id=new_request_id()
        )
        found = client.calls.call(UNTAINT_NODE, request).node
    _say_taints(found)


def _say_taints(node: node_pb2.Node) -> None:
    taints = taints_text(node)
    sys.stdout.write(f"{node.name} {f'has the taints {taints}' if taints else 'has no taints'}\n")


def taints_text(node: node_pb2.Node) -> str:
    """Taints of its agent and by operators."""
    found = (*node.agent_taints, *node.taints)
    return ", ".join(one.key + (f"={one.value}" if one.value else "") for one in found)


def _say(node: node_pb2.Node) -> None:
    sys.stdout.write(f"{node.name} {render.node_state(node)}\n")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("nodes")(nodes)
    app.command("cordon")(cordon)
    app.command("uncordon")(uncordon)
    app.command("drain")(drain)
    app.command("taint")(taint)
    app.command("untaint")(untaint)
    app.add_typer(group, name="node")
