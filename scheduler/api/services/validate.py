"""Bad input to ServiceRegistry, refused before anything is done; see `scheduler.api.validate`.

Also what an `update_mask` makes of a spec (google.aip.dev/134): what it names is taken over as it
is, cleared where the request leaves it unset; what it does not name stays. An empty one names what
the request has set.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from quorate.runtime.errors import invalid
from quorate.v1 import service_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.api import validate
from scheduler.api.masks import is_path, take_over, take_populated
from scheduler.api.specs.check import SpecCheck
from scheduler.core.values import MAX_LABELS, InstanceState

MAX_REPLICAS: Final = 1_000
MAX_DEVIATION: Final = 100
MAX_DRAIN: Final = 3_600.0
# Of a service or instance: a service's instances, a thousand at most, go out in one message.
MAX_LABEL_BYTES: Final = 2_048
MAX_HOSTS: Final = 16
MAX_WATCHED: Final = 1_000
DEFAULT_TTL: Final = 10.0
MIN_TTL: Final = 2.0
MAX_TTL: Final = 3_600.0
MAX_WEIGHT: Final = 1_000

_INSTANCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HOST_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"{_HOST_NAME}(?:\.{_HOST_NAME})*")
_ADDRESS: Final = re.compile(rf"(?:{_HOST.pattern}|\[[0-9A-Fa-f:.]{{2,45}}\]):([0-9]{{1,5}})")
# The tokens of RFC 9110, section 5.6.2.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_PATH: Final = re.compile(r"/[\x21-\x7e]{0,1023}")


def service_spec(check: SpecCheck, spec: pb.ServiceSpec, field: str, now: float) -> None:
    """Refuse a spec that is not within bounds. Raises QuorateError naming the field."""
    within = validate.between
    within(f"{field}.replicas", spec.replicas, 0, MAX_REPLICAS)
    if spec.HasField("command"):
        # As a task it would be held to the same bounds.
        task = task_pb2.TaskSpec(command=spec.command, labels=spec.labels)
        if spec.HasField("resources"):
            task.resources.CopyFrom(spec.resources)
        if spec.HasField("placement"):
            task.placement.CopyFrom(spec.placement)
        check.spec(task, field, now)
    elif spec.replicas:
        raise invalid(f"{field}.command", "is required for replicas")
    else:
        for name in ("resources", "placement"):
            if spec.HasField(name):
                raise invalid(
                    f"{field}.{name}",
                    f"has an effect only with a command; set command, or leave {name} out",
                )
    labels(f"{field}.labels", spec.labels)
    within(f"{field}.max_surge", spec.max_surge, 0, MAX_DEVIATION)
    within(f"{field}.max_unavailable", spec.max_unavailable, 0, MAX_DEVIATION)
    if spec.HasField("drain_grace"):
        validate.duration(f"{field}.drain_grace", spec.drain_grace, MAX_DRAIN, zero=True)
    if spec.HasField("health"):
        _health(spec.health, f"{field}.health")
    if spec.HasField("proxy"):
        _proxy(spec.proxy, f"{field}.proxy")
    size = spec.ByteSize()
    if size > check.max_payload:
        raise invalid(
            field,
            f"{size} bytes; at most {check.max_payload} are allowed",
            reason="PAYLOAD_TOO_LARGE",
            limit=check.max_payload,
            value=size,
        )


def labels(field: str, given: Any) -> None:
    """At most 32 labels, each part of 128 characters, 2 KiB together."""
    validate.at_most(field, len(given), MAX_LABELS, "labels")
    size = 0
    for key, value in given.items():
        if not key:
            raise invalid(field, "a label needs a name")
        longest = max(len(key), len(value))
        validate.at_most(field, longest, validate.MAX_LABEL, "characters each")
        size += len(key.encode()) + len(value.encode())
    validate.at_most(field, size, MAX_LABEL_BYTES, "bytes together")


def _health(health: task_pb2.HealthCheck, field: str) -> None:
    kind = health.WhichOneof("kind")
    if kind == "http_path" and not _PATH.fullmatch(health.http_path):
        raise invalid(
            f"{field}.http_path",
            "must begin with / and have at most 1,024 printable ASCII characters without blanks",
            limit=1_024,
        )
    if kind == "grpc_service":
        validate.at_most(f"{field}.grpc_service", len(health.grpc_service), 256, "characters")
    if kind == "tcp" and not health.tcp:
        raise invalid(
            f"{field}.tcp", "must be true; for another kind of check set http_path or grpc"
        )
    for name, most in (("interval", 3_600.0), ("timeout", 60.0)):
        if health.HasField(name):
            amount = validate.duration(f"{field}.{name}", getattr(health, name), most)
            validate.between(f"{field}.{name}", amount, 0.1, most)
    validate.between(f"{field}.healthy_after", health.healthy_after, 0, 10)
    validate.between(f"{field}.unhealthy_after", health.unhealthy_after, 0, 10)
    if health.HasField("start_grace"):
        validate.duration(f"{field}.start_grace", health.start_grace, 3_600.0, zero=True)


def _proxy(proxy: pb.ProxyPolicy, field: str) -> None:
    within = validate.between
    balancing = validate.known_enum(f"{field}.balancing", proxy.balancing, range(5))
    source = proxy.hash_on.WhichOneof("source")
    if source in ("header", "cookie"):
        if not _TOKEN.fullmatch(getattr(proxy.hash_on, source)):
            raise invalid(
                f"{field}.hash_on.{source}", "is not a token of 1 to 128 characters", limit=128
            )
    elif source == "path" and not proxy.hash_on.path:
        raise invalid(
            f"{field}.hash_on.path", "must be true; for another source set header or cookie"
        )
    elif source is None and balancing == pb.BALANCING_CONSISTENT_HASH:
        raise invalid(f"{field}.hash_on", "is required for BALANCING_CONSISTENT_HASH")
    validate.at_most(f"{field}.hosts", len(proxy.hosts), MAX_HOSTS, "hosts")
    for place, host in enumerate(proxy.hosts):
        if len(host) > 253 or not _HOST.fullmatch(host):
            raise invalid(
                f"{field}.hosts[{place}]",
                f"{host[:80]!r} is not a host name such as shop.example.com",
                limit=253,
            )
    if proxy.HasField("timeout"):
        validate.duration(f"{field}.timeout", proxy.timeout, 3_600.0)
    within(f"{field}.retries", proxy.retries, -1, 5)
    if proxy.HasField("retry_budget"):
        within(f"{field}.retry_budget", proxy.retry_budget, 0, 1)
    within(f"{field}.rate_limit", proxy.rate_limit, 0, 1_000_000)
    within(f"{field}.concurrency_limit", proxy.concurrency_limit, 0, 65_536)
    validate.at_most(f"{field}.prefer_label", len(proxy.prefer_label), 128, "characters")
    within(f"{field}.eject_after", proxy.eject_after, 0, 100)
    if proxy.HasField("eject_for"):
        validate.duration(f"{field}.eject_for", proxy.eject_for, 300.0)
    within(f"{field}.circuit_breaker", proxy.circuit_breaker, 0, 65_536)


def instance(given: pb.ServiceInstance) -> None:
    """Refuse an instance that is not within bounds; `service` is checked as a name elsewhere."""
    instance_id("instance.id", given.id)
    found = _ADDRESS.fullmatch(given.address)
    if len(given.address) > 262 or found is None or not 1 <= int(found[1]) <= 65_535:
        raise invalid("instance.address", f"{given.address[:80]!r} is not host:port")
    validate.known_enum("instance.state", given.state, range(len(InstanceState) + 1))
    validate.between("instance.weight", given.weight, 0, MAX_WEIGHT)
    labels("instance.labels", given.labels)


def instance_id(field: str, name: str) -> str:
    """What outside processes call themselves."""
    if not name:
        raise invalid(field, "is required")
    if not _INSTANCE.fullmatch(name):
        raise invalid(
            field,
            f"{name[:80]!r} is not 1 to 128 characters of A-Z a-z 0-9 . _ - beginning with a "
            "letter or digit",
            limit=128,
        )
    return name


def ttl(request: pb.RegisterInstanceRequest) -> int:
    """Whole seconds, rounded up: what leases are made of."""
    if not request.HasField("ttl"):
        return math.ceil(DEFAULT_TTL)
    amount = validate.duration("ttl", request.ttl, MAX_TTL)
    validate.between("ttl", amount, MIN_TTL, MAX_TTL)
    return math.ceil(amount)


def watched(names: Sequence[str]) -> None:
    """The names of WatchServices."""
    validate.at_most("names", len(names), MAX_WATCHED, "names")
    for place, name in enumerate(names):
        validate.queue_name(f"names[{place}]", name)


def masked(old: pb.ServiceSpec, new: pb.ServiceSpec, paths: Sequence[str]) -> pb.ServiceSpec:
    """The spec that an update makes. Raises QuorateError for a path that is none of a spec's."""
    merged = pb.ServiceSpec()
    merged.CopyFrom(old)
    if not paths:
        take_populated(merged, new)
    if "spec" in paths or "*" in paths:
        merged.CopyFrom(new)
    validate.at_most("update_mask", len(paths), 100, "paths")
    for path in paths:
        if path in ("spec", "*"):
            continue
        first, *names = path.split(".")
        if first != "spec" or not names or not is_path(pb.ServiceSpec.DESCRIPTOR, names):
            raise invalid(
                "update_mask",
                f"{path[:80]!r} is not a field of service.spec",
                reason="INVALID_FIELD_MASK",
                value=path[:80],
            )
        take_over(merged, new, names)
    return merged
