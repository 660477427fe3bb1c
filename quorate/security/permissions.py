"""What each RPC demands, read from its proto option, and whether a request keeps to it.

Two checks. `check_role` needs no request: it is made wherever a call arrives, also at a standby
that passes the bytes on. `check_request` needs the parsed request and, for a task's id, the queue
the task is in: it is made by whoever answers, before anything is done.

A caller that is bound to queues and names a task of another queue gets PERMISSION_DENIED, not
NOT_FOUND: task ids cannot be guessed (74 random bits), so that the answer betrays nothing to
somebody who does not have the id, and tells those who do what is wrong.

An RPC that declares nothing is refused to everybody: a forgotten option is a closed door.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from quorate.runtime.errors import QuorateError
from quorate.security.identity import Caller, Role
from quorate.security.message_names import check_exchange, check_message_queue
from quorate.security.policy import holds
from quorate.v1 import permission_pb2


@dataclass(frozen=True, slots=True)
class Rule:
    """As `quorate.v1.Permission`: paths are empty where the request names no such thing."""

    name: str = ""
    public: bool = False
    queue: str = ""
    queue_when_empty: str = ""
    task: str = ""
    service: str = ""
    node: str = ""
    unbound: bool = False
    message_queues: tuple[str, ...] = ()
    exchanges: tuple[str, ...] = ()

    @property
    def names_nothing(self) -> bool:
        """Whether no request of the RPC can name what a caller may be bound to."""
        of_messages = self.message_queues or self.exchanges
        return not (self.task or self.queue or self.service or self.node or of_messages)


_PUBLIC: Final = Rule(public=True)
_REFLECTION: Final = Rule("reflection.read", unbound=True)
_SCALING: Final = Rule("scaling.read")
_CHANNELZ: Final = Rule("channelz.read")
# Contracts of others, whose protos are not ours to annotate.
_OTHERS: Final[Mapping[str, Rule]] = {
    # Probes and standbys ask without credentials; the answer says nothing but "serving".
    "/grpc.health.v1.Health/Check": _PUBLIC,
    "/grpc.health.v1.Health/List": _PUBLIC,
    "/grpc.health.v1.Health/Watch": _PUBLIC,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _REFLECTION,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": _REFLECTION,
    **{
        f"/grpc.channelz.v1.Channelz/{name}": _CHANNELZ
        for name in (
            *("GetTopChannels", "GetServers", "GetServer", "GetServerSockets"),
            *("GetChannel", "GetSubchannel", "GetSocket"),
        )
    },
    "/externalscaler.ExternalScaler/IsActive": _SCALING,
    "/externalscaler.ExternalScaler/StreamIsActive": _SCALING,
    "/externalscaler.ExternalScaler/GetMetricSpec": _SCALING,
    # Not a read alone: whoever asks for the number has idle nodes marked, and keeps marks up.
    "/externalscaler.ExternalScaler/GetMetrics": Rule("scaling.mark"),
}


def path_of(method: MethodDescriptor) -> str:
    """How gRPC names a method."""
    return f"/{method.containing_service.full_name}/{method.name}"


def rule_of(method: MethodDescriptor) -> Rule | None:
    """What a method demands; None when it declares nothing."""
    options = method.GetOptions()
    # Its generated type is wider than what the accessors take.
    option: Any = permission_pb2.permission
    if not options.HasExtension(option):
        return _OTHERS.get(path_of(method))
    said: Any = options.Extensions[option]
    return Rule(
        said.name,
        said.public,
        said.queue,
        said.queue_when_empty,
        said.task,
        said.service,
        said.node,
        said.unbound,
        tuple(said.message_queues),
        tuple(said.exchanges),
    )


def rules_of(services: Iterable[ServiceDescriptor]) -> dict[str, Rule]:
    """The rules of all methods of some services, and of health and reflection, by path."""
    rules = dict(_OTHERS)
    for service in services:
        for method in service.methods:
            rule = rule_of(method)
            if rule is not None:
                rules[path_of(method)] = rule
    return rules


def check_role(rule: Rule | None, caller: Caller, path: str) -> None:
    """Raises PERMISSION_DENIED unless the caller's role holds what the RPC demands."""
    if rule is None:
        raise denied("NO_PERMISSION_DECLARED", f"{path} may be called by nobody", caller)
    if not rule.public and not holds(caller.role, rule.name):
        raise denied(
            "ROLE_LACKS_PERMISSION",
            f"the role {caller.role} may not {rule.name}",
            caller,
            permission=rule.name,
        )


def check_request(
    rule: Rule, caller: Caller, request: Any, queue_of: Callable[[str], str | None]
) -> None:
    """Raises PERMISSION_DENIED when the request is about what the caller is not bound to.

    Args:
        queue_of: the queue of a task; None when there is no such task, which the RPC itself tells.
    """
    if caller.role is Role.NODE and rule.node and _named(request, rule.node) != [caller.name]:
        raise denied("FOREIGN_NODE", "a node speaks only for itself", caller, field=rule.node)
    if not caller.bound or rule.unbound:
        return
    if rule.message_queues or rule.exchanges:
        _check_messages(rule, caller, request)
        return
    tasks = _named(request, rule.task) if rule.task else []
    if tasks or (rule.task and not rule.queue):
        # Thousands of tasks are in a few queues.
        queues = dict.fromkeys(map(queue_of, tasks))
        if any(queue is not None and not caller.may_name(queue) for queue in queues):
            raise denied(
                "FOREIGN_QUEUE",
                f"{'the task is' if len(tasks) == 1 else 'a task is'} in a queue that this caller "
                "is not bound to",
                caller,
                field=rule.task,
            )
        # Where both are named, the RPC itself refuses.
        return
    field = rule.queue or rule.service
    names = [name or rule.queue_when_empty for name in _named(request, field)] if field else []
    if not names or not all(names):
        raise denied(
            "BOUND_CALLER",
            f"{field}: must name what this caller is bound to ({', '.join(caller.patterns)})"
            if field
            else f"only for callers that are not bound to {', '.join(caller.patterns)}",
            caller,
            field=field,
        )
    for name in names:
        _check_queue(field, name, caller, "QUEUE" if rule.queue else "SERVICE")


def _check_messages(rule: Rule, caller: Caller, request: Any) -> None:
    """As `check_request`, of message queues and exchanges."""
    named = False
    for paths, check in (
        (rule.message_queues, check_message_queue),
        (rule.exchanges, check_exchange),
    ):
        for path in paths:
            # The name stands beside its virtual host.
            inside, _, last = path.rpartition(".")
            holder = getattr(request, inside) if inside else request
            name = getattr(holder, last) or rule.queue_when_empty
            if name:
                named = True
                check(caller, path, holder.virtual_host, name)
    for queue in _named(request, rule.queue) if rule.queue else ():
        if queue:
            named = True
            _check_queue(rule.queue, queue, caller)
    if not named:
        field = [*rule.message_queues, *rule.exchanges][0]
        bound = ", ".join(caller.patterns)
        message = f"{field}: must name what this caller is bound to ({bound})"
        raise denied("BOUND_CALLER", message, caller, field=field)


def _check_queue(field: str, name: str, caller: Caller, kind: str = "QUEUE") -> None:
    if not caller.may_name(name):
        text = f"{field}: this caller is bound to {', '.join(caller.patterns)}"
        raise denied(f"FOREIGN_{kind}", text, caller, field=field)


def _named(request: Any, path: str) -> list[str]:
    """What a request names at a path."""
    value = request
    for step in path.split("."):
        value = getattr(value, step)
    return [value] if isinstance(value, str) else list(value)


def denied(reason: str, message: str, caller: Caller, **metadata: str) -> QuorateError:
    """PERMISSION_DENIED."""
    return QuorateError(
        grpc.StatusCode.PERMISSION_DENIED,
        reason,
        message,
        metadata={"caller": str(caller), **metadata},
    )
