"""Who asks for a change, as the audit log says it.

A standby that passes a call on tells who called it (`quorate-caller`) and from where
(`quorate-peer`). The first is believed by the guard, of a scheduler's certificate alone; the second
here, by the same rule, and of everybody where there is no authentication: nobody is anybody then.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

from google.protobuf.descriptor import MethodDescriptor

from quorate.runtime.ids import ANONYMOUS
from quorate.security.guard import COMMON_NAME
from quorate.security.identity import Role, current_caller, from_common_name
from quorate.security.metadata import FORWARDED, PASSED_ON_PEER
from quorate.security.permissions import denied
from quorate.security.policy import holds
from quorate.v1 import broker_pb2, scheduler_pb2, service_pb2
from scheduler.core.values import Origin

SUBMIT: Final = "tasks.submit"
_MOST_PEER: Final = 128
# Each task says itself who created it.
_CREATES_TASKS: Final = frozenset(("CreateTask", "BatchCreateTasks", "CreateJob", "AppendJobItems"))
# Messages come and go by the thousand.
_MESSAGES: Final = frozenset(("Publish", "ReceiveMessages", "Transact"))


def _path(method: MethodDescriptor) -> str:
    return f"{method.containing_service.full_name}/{method.name}"


def _changes(method: MethodDescriptor) -> bool:
    """Whether an RPC changes what is on record; all of those take a request id."""
    return (
        "request_id" in method.input_type.fields_by_name
        and method.name not in _CREATES_TASKS | _MESSAGES
    )


# The RPCs that the audit log records, by their request's type.
AUDITED: Final = {
    method.input_type.full_name: _path(method)
    for service in (
        scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"],
        service_pb2.DESCRIPTOR.services_by_name["ServiceRegistry"],
        broker_pb2.DESCRIPTOR.services_by_name["Broker"],
    )
    for method in service.methods
    if _changes(method)
}


def origin_of(request: Any, context: Any) -> Origin:
    """Who makes this call, which is answered by this task."""
    caller = current_caller()
    method = AUDITED[request.DESCRIPTOR.full_name]
    peer = _peer(context, trusted=caller is None or _from_scheduler(context))
    if caller is None:
        return Origin(ANONYMOUS, "", "", peer, method)
    return Origin(caller.name, caller.role, caller.how, peer, method)


def caller_name() -> str:
    """Who makes this call, `<role>:<name>`; empty where authentication is off."""
    caller = current_caller()
    return "" if caller is None else str(caller)


def may_submit(what: str) -> None:
    """Raise PERMISSION_DENIED unless the caller may create tasks: messages will, in its place."""
    caller = current_caller()
    if caller is not None and not holds(caller.role, SUBMIT):
        raise denied(
            "ROLE_LACKS_PERMISSION",
            f"the role {caller.role} may not {SUBMIT}, which it takes to {what}",
            caller,
            permission=SUBMIT,
        )


def passed_on_peer(context: Any) -> tuple[tuple[str, str], ...]:
    """The metadata that says to another scheduler where a call came from."""
    peer = context.peer()
    return ((PASSED_ON_PEER, peer[:_MOST_PEER]),) if peer and peer.isascii() else ()


def _peer(context: Any, *, trusted: bool) -> str:
    peer = context.peer()
    if trusted:
        said = dict(context.invocation_metadata() or ())
        if FORWARDED in said and isinstance(said.get(PASSED_ON_PEER), str):
            peer = said[PASSED_ON_PEER]
    # As gRPC writes it: `ipv4:127.0.0.1:5`, `ipv6:%5B::1%5D:5`.
    kind, _, address = (peer or "").partition(":")
    return unquote(address if kind in ("ipv4", "ipv6", "unix") else peer or "")[:_MOST_PEER]


def _from_scheduler(context: Any) -> bool:
    shown = context.auth_context().get(COMMON_NAME)
    caller = from_common_name(shown[0].decode(errors="replace")) if shown else None
    return caller is not None and caller.role is Role.SCHEDULER
