"""Commands about services: `service create | list | show | scale | update | delete`, and
`service register | deregister` for processes that no node runs."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from quorate.cli.common import Json, with_client
from quorate.cli.exits import OK, TIMED_OUT, sentence_of
from quorate.cli.groups import CHANGING, with_groups
from quorate.cli.output import render
from quorate.cli.output.render import err, hint
from quorate.cli.services import options as o
from quorate.cli.services import show as service_show
from quorate.cli.tasks.options.placing import Placing
from quorate.cli.words import pairs
from quorate.client.client import Client
from quorate.client.pages import pages
from quorate.client.transport.calls import Calls
from quorate.client.transport.discovery import local_of
from quorate.client.transport.policy import is_lost
from quorate.client.transport.rpcs import Req, Res, Rpc, new_request_id
from quorate.runtime.errors import QuorateError
from quorate.runtime.sizes import plural
from quorate.v1 import service_pb2 as pb

_LOOK = 0.2
# Seconds to wait for replicas by default.
_PATIENCE = 60.0
# An outside process is registered again after this share of its ttl.
_RENEW = 1 / 3


class RegistryRpc(Rpc[Req, Res]):
    """A method of ServiceRegistry."""

    @property
    def path(self) -> str:
        return f"/quorate.v1.ServiceRegistry/{self.name}"


CREATE = RegistryRpc("CreateService", pb.CreateServiceRequest, pb.CreateServiceResponse)
GET = RegistryRpc("GetService", pb.GetServiceRequest, pb.GetServiceResponse)
LIST = RegistryRpc("ListServices", pb.ListServicesRequest, pb.ListServicesResponse)
UPDATE = RegistryRpc("UpdateService", pb.UpdateServiceRequest, pb.UpdateServiceResponse)
DELETE = RegistryRpc("DeleteService", pb.DeleteServiceRequest, pb.DeleteServiceResponse)
REGISTER = RegistryRpc("RegisterInstance", pb.RegisterInstanceRequest, pb.RegisterInstanceResponse)
DEREGISTER = RegistryRpc(
    "DeregisterInstance", pb.DeregisterInstanceRequest, pb.DeregisterInstanceResponse
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The service's name.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the instance.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait until all replicas are healthy.")]
WaitTimeout = Annotated[
    float | None,
    typer.Option(
        "--wait-timeout",
        metavar="SECONDS",
        help="With --wait: maximum wait, in seconds. Then the exit code is 6. \\[default: 60]",
    ),
]

group = typer.Typer(
    help="Manage services: programs that the cluster keeps running.", no_args_is_help=True
)


@group.command("create")
@with_client
@with_groups
def create(
    client: Client,
    name: Name,
    argv: o.Argv = None,
    replicas: o.Replicas = None,
    env: o.Env = None,
    cwd: o.Cwd = "",
    cpu: o.Cpu = None,
    memory: o.Memory = None,
    resource: o.Resource = None,
    label: o.Label = None,
    health_http: o.HealthHttp = None,
    health_tcp: o.HealthTcp = False,
    health_grpc: o.HealthGrpc = None,
    health_interval: o.HealthInterval = None,
    health_timeout: o.HealthTimeout = None,
    start_grace: o.StartGrace = None,
    drain_grace: o.DrainGrace = None,
    max_surge: o.MaxSurge = None,
    max_unavailable: o.MaxUnavailable = None,
    balancing: o.BalancingOption = None,
    hash_on: o.HashOn = None,
    host: o.Host = None,
    wait: Wait = False,
    wait_timeout: WaitTimeout = None,
    *,
    placing: Placing,
) -> int:
    """Create a service and start its replicas (1 by default).

    Each replica gets a port of its node in the environment variable PORT, where the program must
    listen. The replica takes requests once its health check succeeds.

    Without a command the service has no replicas: processes outside the cluster register as its
    instances with [bold]service register[/bold].

    [dim]quorate service create web -n 3 --health-http /healthz -- python web.py[/dim]
    """
    patience = _patience(wait, wait_timeout)
    if argv and replicas is None:
        replicas = 1
    options = o.SpecOptions(
        *(argv, replicas, env, cwd, cpu, memory, resource, label, health_http, health_tcp),
        *(health_grpc, health_interval, health_timeout, start_grace, drain_grace, max_surge),
        *(max_unavailable, balancing, hash_on, host, placing),
    )
    service = pb.Service(name=name)
    service.spec.SetInParent()
    options.write(service.spec)
    request = pb.CreateServiceRequest(service=service, request_id=new_request_id())
    _warn(client.calls.call(CREATE, request).service)
    sys.stdout.write(f"{name} created\n")
    sys.stdout.flush()
    local = local_of(client.addresses)
    if local and (address := service_show.address_of(name, local.dashboard)):
        hint(f"Its address: {address}")
    return _until_ready(client, name, patience) if wait else OK


@group.command("update")
@with_client
@with_groups
def update(
    client: Client,
    name: Name,
    argv: o.Argv = None,
    replicas: o.Replicas = None,
    env: o.Env = None,
    cwd: o.Cwd = "",
    cpu: o.Cpu = None,
    memory: o.Memory = None,
    resource: o.Resource = None,
    label: o.Label = None,
    health_http: o.HealthHttp = None,
    health_tcp: o.HealthTcp = False,
    health_grpc: o.HealthGrpc = None,
    health_interval: o.HealthInterval = None,
    health_timeout: o.HealthTimeout = None,
    start_grace: o.StartGrace = None,
    drain_grace: o.DrainGrace = None,
    max_surge: o.MaxSurge = None,
    max_unavailable: o.MaxUnavailable = None,
    balancing: o.BalancingOption = None,
    hash_on: o.HashOn = None,
    host: o.Host = None,
    wait: Wait = False,
    wait_timeout: WaitTimeout = None,
    *,
    placing: Annotated[Placing, CHANGING],
    any_node: Annotated[
        bool,
        typer.Option("--any-node", help="Remove all placement rules.", rich_help_panel="Placement"),
    ] = False,
) -> int:
    """Change the given settings of a service. Replicas are replaced one after the other.

    Settings that are not given stay as they are. The defaults below are those of [bold]service
    create[/bold]. Placement rules replace those of the same kind: --where and --prefer are one
    kind, and so are --placement and --spread.
    """
    patience = _patience(wait, wait_timeout)
    options = o.SpecOptions(
        *(argv, replicas, env, cwd, cpu, memory, resource, label, health_http, health_tcp),
        *(health_grpc, health_interval, health_timeout, start_grace, drain_grace, max_surge),
        *(max_unavailable, balancing, hash_on, host, placing, any_node),
    )
    spec = pb.ServiceSpec()
    paths = options.write(spec)
    if not paths:
        raise typer.BadParameter("nothing to change; give at least one option")
    _update(client, name, spec, paths)
    sys.stdout.write(f"{name} updated\n")
    return _until_ready(client, name, patience) if wait else OK


@group.command("scale")
@with_client
def scale(
    client: Client,
    name: Name,
    replicas: Annotated[int, typer.Argument(metavar="N", min=0, help="Number of replicas.")],
    wait: Wait = False,
    wait_timeout: WaitTimeout = None,
) -> int:
    """Change how many replicas a service has."""
    patience = _patience(wait, wait_timeout)
    if replicas >= 2**31:
        raise typer.BadParameter(f"{replicas} replicas are too many; at most 1,000 are allowed")
    _update(client, name, pb.ServiceSpec(replicas=replicas), ["spec.replicas"])
    sys.stdout.write(f"{name} scaled to {replicas}\n")
    return _until_ready(client, name, patience) if wait else OK


def _update(client: Client, name: str, spec: pb.ServiceSpec, paths: list[str]) -> None:
    request = pb.UpdateServiceRequest(
        service=pb.Service(name=name, spec=spec),
        update_mask=FieldMask(paths=paths),
        request_id=new_request_id(),
    )
    _warn(client.calls.call(UPDATE, request).service)


def _warn(service: pb.Service) -> None:
    """Say at once that its replicas cannot start as things are."""
    if service.pending_reason:
        render.warn(service.pending_reason)


@group.command("list")
@with_client
def list_(client: Client, as_json: Json = False) -> None:
    """List the services.

    READY is how many of the wanted replicas are healthy. UPDATED is how many have the current
    settings. GENERATION is the number of these settings: each change adds 1.
    """
    found = list(_services(client.calls))
    if as_json:
        render.print_messages(found)
        return
    if not found:
        hint("No services. Create one: quorate service create web -- python web.py")
        return
    table = render.table("SERVICE", "READY", "UPDATED", "GENERATION", "AGE", right=_FIGURES)
    for service in found:
        table.add_row(
            service.name,
            service_show.ready(service),
            str(service.updated) if service.spec.HasField("command") else "-",
            str(service.generation),
            render.ago(service.create_time),
        )
    render.show(table)


_FIGURES = ("READY", "UPDATED", "GENERATION")


@group.command("show")
@with_client
def show(client: Client, name: Name, as_json: Json = False) -> None:
    """Show one service, its instances, and the reasons why replicas do not run.

    An instance is a replica that runs, or a registered process outside the cluster. WEIGHT is its
    share of the requests, relative to the other instances.
    """
    service = client.calls.call(GET, pb.GetServiceRequest(name=name)).service
    if as_json:
        render.print_json(render.as_dict(service))
        return
    local = local_of(client.addresses)
    service_show.show(client, service, local.dashboard if local else "")


@group.command("delete")
@with_client
def delete(client: Client, name: Name) -> None:
    """Delete a service and end its replicas."""
    request = pb.DeleteServiceRequest(name=name, request_id=new_request_id())
    client.calls.call(DELETE, request)
    sys.stdout.write(f"{name} deleted\n")


@group.command("register")
@with_client
def register_instance(
    client: Client,
    name: Name,
    id: Id,
    at: Annotated[
        str, typer.Argument(metavar="HOST:PORT", help="Address of the instance, host:port.")
    ],
    ttl: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Time until the registration ends by itself, in seconds."
        ),
    ] = 10.0,
    weight: Annotated[
        int,
        typer.Option(min=1, max=1000, help="Share of the requests, relative to other instances."),
    ] = 1,
    label: o.Label = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Renew the registration until Ctrl-C, then remove it.")
    ] = False,
) -> None:
    """Register a process outside the cluster as an instance of a service."""
    if not 0 < ttl <= 10**9:
        raise typer.BadParameter(f"--ttl: {ttl:g} seconds is out of range")
    request = pb.RegisterInstanceRequest(
        instance=pb.ServiceInstance(
            service=name,
            id=id,
            address=at,
            weight=weight,
            labels=pairs("--label", label),
        )
    )
    request.ttl.FromNanoseconds(int(ttl * 1e9))
    client.calls.call(REGISTER, request)
    sys.stdout.write(f"{id} registered at {at}\n")
    sys.stdout.flush()
    if not hold:
        return
    # A shell starts background jobs with SIGINT ignored; here it is the way to end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(ttl * _RENEW)
            _renew(client, request)
    _deregister(client, name, id)


def _renew(client: Client, request: pb.RegisterInstanceRequest) -> None:
    """Register once more. A cluster that is away may come back: that is no reason to end."""
    try:
        client.calls.call(REGISTER, request)
    except QuorateError as error:
        if not is_lost(error):
            raise
        err.print(f"quorate: not renewed: {sentence_of(error)}", markup=False)


@group.command("deregister")
@with_client
def deregister(client: Client, name: Name, id: Id) -> None:
    """Remove a registered process from its service."""
    _deregister(client, name, id)


def _deregister(client: Client, name: str, id: str) -> None:
    client.calls.call(DEREGISTER, pb.DeregisterInstanceRequest(service=name, id=id))
    sys.stdout.write(f"{id} deregistered\n")


def _services(calls: Calls) -> Iterator[pb.Service]:
    """Every service by name."""
    for answer in pages(calls, LIST, pb.ListServicesRequest()):
        yield from answer.services


def _patience(wait: bool, timeout: float | None) -> float:
    """Seconds to wait for replicas. Raises BadParameter for a time without --wait."""
    if timeout is not None and not wait:
        raise typer.BadParameter("--wait-timeout needs --wait")
    return _PATIENCE if timeout is None else timeout


def _until_ready(client: Client, name: str, patience: float) -> int:
    """Wait until the wanted replicas are healthy, and no other one takes requests."""
    end = time.monotonic() + patience
    while True:
        service = client.calls.call(GET, pb.GetServiceRequest(name=name)).service
        serving = [i for i in service.instances if i.state != pb.INSTANCE_STATE_DRAINING and i.node]
        good = [
            i
            for i in serving
            if i.state == pb.INSTANCE_STATE_HEALTHY and i.generation == service.generation
        ]
        if len(serving) == len(good) == service.spec.replicas:
            return OK
        if time.monotonic() > end:
            wanted = service.spec.replicas
            err.print(
                f"quorate: {len(good)} of {plural(wanted, 'replica')} healthy after {patience:g} s",
                markup=False,
            )
            if why := service_show.why_not_ready(client, service):
                hint(why)
            hint(f"Details: quorate service show {name}")
            return TIMED_OUT
        time.sleep(_LOOK)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="service")
