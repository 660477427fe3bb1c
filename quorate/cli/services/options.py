"""Options of `service create` and `service update`, and the spec that they make.

An option that is not given stays out of the update's mask, so what it stands for stays as it is.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

import typer
from google.protobuf.duration_pb2 import Duration

from quorate.cli.tasks.options.placing import Placing
from quorate.cli.words import count, pairs, size_in_bytes
from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.client.work.placing import put
from quorate.v1 import service_pb2

_HEALTH = "Health checks"
_PROXY = "Requests"
_PANEL = "Replicas"


class Balancing(enum.StrEnum):
    """How an instance is chosen for a request."""

    LEAST_REQUEST = "least-request"
    ROUND_ROBIN = "round-robin"
    WEIGHTED = "weighted"
    CONSISTENT_HASH = "consistent-hash"


_BALANCING = {
    Balancing.LEAST_REQUEST: service_pb2.BALANCING_LEAST_REQUEST,
    Balancing.ROUND_ROBIN: service_pb2.BALANCING_ROUND_ROBIN,
    Balancing.WEIGHTED: service_pb2.BALANCING_WEIGHTED,
    Balancing.CONSISTENT_HASH: service_pb2.BALANCING_CONSISTENT_HASH,
}


_CHOICE: Final = ("placement.strategy", "placement.spread")
# By option, what it replaces as a whole.
_RULES: Final = {
    "where": ("placement.nodes",),
    "prefer": ("placement.nodes",),
    "tolerate": ("placement.tolerations",),
    "near": ("placement.near",),
    "apart": ("placement.apart",),
    "distinct": ("placement.distinct",),
    "spread": _CHOICE,
    "placement": _CHOICE,
}


def _seconds(help: str, panel: str) -> Any:
    return typer.Option(metavar="SECONDS", min=0, help=help, rich_help_panel=panel)


Argv = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="-- COMMAND",
        help="Program of a replica and its arguments. It must listen on port $PORT.",
    ),
]
Replicas = Annotated[
    int | None, typer.Option("--replicas", "-n", metavar="N", help="Number of replicas.")
]
Env = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Environment variable; may be repeated. \\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Cwd = Annotated[
    str,
    typer.Option(
        metavar="DIR",
        help="Working directory on the node. \\[default: an empty one]",
        rich_help_panel=_PANEL,
    ),
]
Cpu = Annotated[
    float | None,
    typer.Option(
        metavar="CORES",
        help="Number of cores that a replica needs. \\[default: 0]",
        rich_help_panel=_PANEL,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Memory that a replica needs, such as 512M. \\[default: 0]",
        rich_help_panel=_PANEL,
    ),
]
Resource = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=COUNT",
        help="Counter that a replica needs, such as gpu=1; may be repeated. \\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Label = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Label; may be repeated. \\[default: none]"),
]
HealthHttp = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Path of the HTTP health check. The answer to GET must be 200 to 399.",
        rich_help_panel=_HEALTH,
    ),
]
HealthTcp = Annotated[
    bool,
    typer.Option(
        "--health-tcp",
        help="TCP health check: a connection must succeed. The default if there is a command.",
        rich_help_panel=_HEALTH,
    ),
]
HealthGrpc = Annotated[
    str | None,
    typer.Option(
        metavar="SERVICE",
        help='gRPC service of the health check (grpc.health.v1). "" is the whole server.',
        rich_help_panel=_HEALTH,
    ),
]
HealthInterval = Annotated[
    float | None, _seconds("Time between health checks, in seconds. \\[default: 1]", _HEALTH)
]
HealthTimeout = Annotated[
    float | None, _seconds("Maximum time of one health check, in seconds. \\[default: 1]", _HEALTH)
]
StartGrace = Annotated[
    float | None,
    _seconds(
        "Time after a start in which failed checks do not count, in seconds. \\[default: 30]",
        _HEALTH,
    ),
]
DrainGrace = Annotated[
    float | None,
    _seconds("Time to finish requests before a replica ends, in seconds. \\[default: 10]", _PANEL),
]
MaxSurge = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Maximum number of extra replicas during an update. \\[default: 1]",
        rich_help_panel=_PANEL,
    ),
]
MaxUnavailable = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Maximum number of missing replicas during an update. \\[default: 0]",
        rich_help_panel=_PANEL,
    ),
]
BalancingOption = Annotated[
    Balancing | None,
    typer.Option(
        "--balancing",
        metavar="NAME",
        help="Way to choose an instance for a request: least-request, round-robin, weighted or "
        "consistent-hash. \\[default: least-request]",
        rich_help_panel=_PROXY,
    ),
]
HashOn = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="Part of a request that consistent-hash uses: header:NAME, cookie:NAME or path.",
        rich_help_panel=_PROXY,
    ),
]
Host = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Host name of the service at the gateway; may be repeated. \\[default: none]",
        rich_help_panel=_PROXY,
    ),
]


@dataclass(slots=True)
class SpecOptions:
    """What was given on the command line; None, False or empty: not given."""

    argv: Sequence[str] | None
    replicas: int | None
    env: Sequence[str] | None
    cwd: str
    cpu: float | None
    memory: str | None
    resource: Sequence[str] | None
    label: Sequence[str] | None
    health_http: str | None
    health_tcp: bool
    health_grpc: str | None
    health_interval: float | None
    health_timeout: float | None
    start_grace: float | None
    drain_grace: float | None
    max_surge: int | None
    max_unavailable: int | None
    balancing: Balancing | None
    hash_on: str | None
    host: Sequence[str] | None
    placing: Placing
    any_node: bool = False

    def write(self, spec: service_pb2.ServiceSpec) -> list[str]:
        """Write them into a spec; the paths of what was given, as an update mask has them.

        Raises typer.BadParameter for what cannot be read.
        """
        paths = [*self._run(spec), *self._place(spec), *self._health(spec), *self._proxy(spec)]
        return [f"spec.{path}" for path in paths]

    def _run(self, spec: service_pb2.ServiceSpec) -> list[str]:
        paths = []
        if self.argv:
            spec.command.argv.extend(self.argv)
            spec.command.env.update(pairs("--env", self.env))
            spec.command.cwd = self.cwd
            paths.append("command")
        elif self.env or self.cwd:
            raise typer.BadParameter("--env and --cwd need a command: -- COMMAND...")
        for name in ("replicas", "max_surge", "max_unavailable"):
            value = getattr(self, name)
            if value is not None:
                if not 0 <= value < 2**31:
                    raise typer.BadParameter(f"--{name.replace('_', '-')}: {value} is out of range")
                setattr(spec, name, value)
                paths.append(name)
        if self.cpu is not None:
            spec.resources.cpu = self.cpu
            paths.append("resources.cpu")
        if self.memory is not None:
            spec.resources.memory = size_in_bytes("--memory", self.memory)
            paths.append("resources.memory")
        if self.resource:
            for key, value in pairs("--resource", self.resource).items():
                spec.resources.counters[key] = count("--resource", value)
            paths.append("resources.counters")
        if self.label:
            spec.labels.update(pairs("--label", self.label))
            paths.append("labels")
        if self.drain_grace is not None:
            _set(spec.drain_grace, self.drain_grace)
            paths.append("drain_grace")
        return paths

    def _place(self, spec: service_pb2.ServiceSpec) -> list[str]:
        given = {name: value for name, value in self.placing.args().items() if value}
        if self.any_node:
            if given:
                option = next(iter(given))
                raise typer.BadParameter(f"--any-node removes all rules; leave out --{option}")
            return ["placement"]
        if given:
            put(spec.placement, TaskOptions().but(cast(OptionArgs, given)))
        return list(dict.fromkeys(path for name in given for path in _RULES[name]))

    def _health(self, spec: service_pb2.ServiceSpec) -> list[str]:
        paths = []
        kinds = (self.health_http is not None, self.health_tcp, self.health_grpc is not None)
        if sum(kinds) > 1:
            raise typer.BadParameter(
                "set only one of --health-http, --health-tcp and --health-grpc"
            )
        if self.health_http is not None:
            spec.health.http_path = self.health_http
            paths.append("health.http_path")
        elif self.health_tcp:
            spec.health.tcp = True
            paths.append("health.tcp")
        elif self.health_grpc is not None:
            spec.health.grpc_service = self.health_grpc
            paths.append("health.grpc_service")
        for name, value in (
            ("interval", self.health_interval),
            ("timeout", self.health_timeout),
            ("start_grace", self.start_grace),
        ):
            if value is not None:
                _set(getattr(spec.health, name), value)
                paths.append(f"health.{name}")
        return paths

    def _proxy(self, spec: service_pb2.ServiceSpec) -> list[str]:
        paths = []
        if self.balancing is not None:
            spec.proxy.balancing = _BALANCING[self.balancing]
            paths.append("proxy.balancing")
        if self.hash_on is not None:
            kind, _, name = self.hash_on.partition(":")
            if kind == "path" and not name:
                spec.proxy.hash_on.path = True
            elif kind in ("header", "cookie") and name:
                setattr(spec.proxy.hash_on, kind, name)
            else:
                raise typer.BadParameter(
                    f"--hash-on {self.hash_on!r} must be header:NAME, cookie:NAME or path"
                )
            paths.append("proxy.hash_on")
        if self.host:
            spec.proxy.hosts.extend(self.host)
            paths.append("proxy.hosts")
        return paths


def _set(duration: Duration, seconds: float) -> None:
    if not seconds <= 10**9:
        raise typer.BadParameter(f"{seconds:g} seconds is out of range")
    duration.FromNanoseconds(int(seconds * 1e9))
