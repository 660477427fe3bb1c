"""What `quorate service show` prints: the service, its instances, and the replicas that do not run,
each with the error that ended it last. One that keeps failing is tried again for ever, with growing
pauses, and is an instance only while it runs.
"""

from __future__ import annotations

import shlex
import time
from itertools import islice
from typing import Final
from urllib.parse import urlsplit

import grpc
from rich.table import Table
from rich.text import Text

from quorate.cli.output import render
from quorate.cli.output.listing import Details
from quorate.cli.output.render import hint
from quorate.cli.output.rules import placement_text
from quorate.client.client import Client
from quorate.client.tracking.outcome import shown_state, value_name
from quorate.runtime.errors import QuorateError
from quorate.runtime.sizes import plural
from quorate.v1 import service_pb2 as pb
from quorate.v1 import task_pb2

_QUEUE: Final = "services"
_IDLE: Final = ("scheduled", "pending", "paused")
# So many replicas of all services are looked through, and so many of this one shown.
_LOOKED_AT: Final = 5_000
_SHOWN: Final = 10

_STYLES = {
    pb.INSTANCE_STATE_STARTING: "cyan",
    pb.INSTANCE_STATE_HEALTHY: "green",
    pb.INSTANCE_STATE_UNHEALTHY: "red",
    pb.INSTANCE_STATE_DRAINING: "yellow",
}
_NUMBERS = ("GENERATION", "WEIGHT")


def show(client: Client, service: pb.Service, dashboard: str = "") -> None:
    """Print everything about it. Raises QuorateError.

    Args:
        dashboard: of the local cluster, from which the address to open follows; empty for others.
    """
    render.show(_details(service, address_of(service.name, dashboard)))
    render.show("")
    waiting = _waiting(client, service)
    if service.instances:
        render.show(_instances(service))
    elif not waiting:
        hint("It has no instances now.")
    if not waiting:
        return
    if service.instances:
        render.show("")
    render.show(_replicas(waiting[:_SHOWN]))
    if service.pending_reason:
        render.warn(service.pending_reason)
    if len(waiting) > _SHOWN:
        hint(f"{plural(len(waiting) - _SHOWN, 'more replica')} not running.")
    hint(f"Output of a replica that ended: quorate logs {waiting[0].id}")


def address_of(name: str, dashboard: str) -> str:
    """Where a browser opens a service of a local cluster; empty without its dashboard's address."""
    parts = urlsplit(dashboard)
    return f"{parts.scheme}://{name}.localhost:{parts.port}/" if parts.port else ""


def ready(service: pb.Service) -> Text:
    """`2/3`: healthy ones, and those wanted."""
    if not service.spec.HasField("command"):
        return Text(str(service.ready))
    style = "" if service.ready >= service.spec.replicas else "yellow"
    return Text(f"{service.ready}/{service.spec.replicas}", style=style)


def state_text(instance: pb.ServiceInstance) -> Text:
    """An instance's state in its colour."""
    name = value_name(pb.InstanceState.DESCRIPTOR, instance.state, "INSTANCE_STATE_")
    return Text(name, style=_STYLES.get(instance.state, ""))


def _details(service: pb.Service, address: str) -> Table:
    spec = service.spec
    table = Details()
    replicas = spec.HasField("command")
    command = shlex.join(spec.command.argv) if replicas else "(outside processes)"
    balancing = value_name(pb.Balancing.DESCRIPTOR, spec.proxy.balancing, "BALANCING_")
    for label, value in (
        ("Service", service.name),
        ("Command", command),
        ("Ready", ready(service) if replicas else f"{service.ready} registered"),
        ("Updated", _updated(service) if replicas else "-"),
        ("Health check", _health(spec)),
        ("Balancing", balancing.replace("UNSPECIFIED", "LEAST_REQUEST").lower().replace("_", "-")),
        ("Address", address or f"{service.name}.localhost at the gateway's port"),
        ("Hosts", ", ".join(spec.proxy.hosts) or "-"),
        ("Labels", ", ".join(f"{k}={v}" for k, v in sorted(spec.labels.items())) or "-"),
        ("Placement", placement_text(spec.placement) or "-"),
        ("Created", render.zoned(service.create_time)),
    ):
        table.add_row(Text(label, style="dim"), value)
    return table


def _updated(service: pb.Service) -> str:
    """How many replicas run as the service is now, and not as it was before an update."""
    have = "replica has" if service.updated == 1 else "replicas have"
    return f"{service.updated} {have} the current settings (generation {service.generation})"


def _health(spec: pb.ServiceSpec) -> str:
    """What is checked. Of outside processes each gateway does it, and keeps what it finds."""
    match spec.health.WhichOneof("kind"):
        case "http_path":
            check = f"GET {spec.health.http_path}"
        case "grpc_service":
            check = f"gRPC {spec.health.grpc_service}".rstrip()
        case _:
            check = "TCP connect"
    if spec.HasField("command"):
        return check
    if not spec.HasField("health"):
        return "-"
    return f"{check}, by each gateway (the state below is what was registered)"


def _instances(service: pb.Service) -> Table:
    table = render.table(
        *("INSTANCE", "STATE", "ADDRESS", "NODE", "GENERATION", "WEIGHT", "UP"),
        right=_NUMBERS,
        short={"INSTANCE": render.short_ids},
    )
    for instance in service.instances:
        table.add_row(
            instance.id,
            state_text(instance),
            instance.address,
            instance.node or "-",
            str(instance.generation) if instance.generation else "-",
            str(instance.weight or 1),
            render.ago(instance.start_time),
        )
    return table


def why_not_ready(client: Client, service: pb.Service) -> str:
    """A sentence about replicas that are not healthy; empty when nothing is known. Raises
    QuorateError."""
    if service.pending_reason:
        return service.pending_reason
    for task in _waiting(client, service):
        if task.HasField("error"):
            return f"A replica ended: {task.error.type}: {task.error.message}".splitlines()[0]
    if any(one.state != pb.INSTANCE_STATE_HEALTHY for one in service.instances):
        return (
            f"Replicas run, but their health check ({_health(service.spec)}) does not succeed: "
            "does the program listen on port $PORT?"
        )
    return ""


def _waiting(client: Client, service: pb.Service) -> list[task_pb2.Task]:
    """Its replicas that do not run, those that failed most often first. Raises QuorateError."""
    running = sum(1 for instance in service.instances if instance.node)
    if running >= service.spec.replicas:
        return []
    found = []
    try:
        for task in islice(client.tasks(queue=_QUEUE, states=_IDLE, page_size=1_000), _LOOKED_AT):
            if task.spec.service.service == service.name:
                found.append(task)
    except QuorateError as error:
        # The queue is made with the first replica of the cluster.
        if error.code is not grpc.StatusCode.NOT_FOUND:
            raise
    return sorted(found, key=lambda task: -task.failures)


def _replicas(tasks: list[task_pb2.Task]) -> Table:
    table = render.table(
        *("REPLICA", "STATE", "ATTEMPTS", "NEXT START", "LAST ERROR"),
        right=("ATTEMPTS",),
        short={"REPLICA": render.short_ids},
        elastic=("LAST ERROR",),
        wrapped=("LAST ERROR",),
        drop=("ATTEMPTS", "NEXT START"),
    )
    for task in tasks:
        error = f"{task.error.type}: {task.error.message}" if task.HasField("error") else "-"
        table.add_row(
            task.id,
            render.state_text(shown_state(task)),
            str(task.attempt),
            _next(task),
            error.splitlines()[0],
        )
    return table


def _next(task: task_pb2.Task) -> str:
    if task.pending_reason:
        return "fits no node"
    if task.state != task_pb2.TASK_STATE_SCHEDULED:
        return "when a node has room"
    return f"in {render.seconds(max(0.0, render.stamp(task.schedule_time) - time.time()))}"
