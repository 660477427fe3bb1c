"""Services: their records, and their replicas brought to the desired state.

A service is a row in the journal; its replicas are tasks in the queue `services`, which never give
up (`attempts` starts them again); what is known of their health are the instances in etcd, watched
like nodes. `ServiceDue` follows every change of any of these (`State.touched`), and after an
election for each service: it asks `scheduler.core.handlers.services.reconcile` what is to be done
now, and does a bounded part of it, which touches the service again. So nothing has to be remembered
between two steps, or handed over to the next leader.

    ServiceSubmitted -> ServiceDue: create -> placed, started by agents -> InstanceSeen (HEALTHY)
    ServiceUpdateAsked -> ServiceDue: create new, end old, as health allows, until all are new
    ServiceDeleteAsked -> ServiceDue: end all -> the last is finished -> the record goes

Ending a replica is cancelling its task: the agent lets it finish its requests before the signal.
One that is being ended counts for nothing any more, and is shown as DRAINING before the agent has
said so.
"""

from __future__ import annotations

from dataclasses import replace

from quorate.runtime.ids import QueueName, offset_id
from scheduler.core.handlers import audit
from scheduler.core.handlers.finishing import cancel_now
from scheduler.core.handlers.requests import SERVICES_SCOPE, Answer, Call
from scheduler.core.handlers.services.reconcile import DesiredState, ReplicaSeen, plan
from scheduler.core.handlers.tasks.creation import create
from scheduler.core.model.answers import Done, ErrorKind, Rejection, ServiceSeen, no_service
from scheduler.core.model.effects import (
    DropService,
    Effects,
    EndAttempt,
    PutQueue,
    PutRun,
    PutService,
)
from scheduler.core.model.events import (
    InstanceGone,
    InstanceSeen,
    ServiceDeleteAsked,
    ServiceDue,
    ServiceSubmitted,
    ServiceUpdateAsked,
)
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow, InstanceRow, QueueRow, ServiceRow, TaskRow
from scheduler.core.model.state import SERVICES_QUEUE, State
from scheduler.core.values import InstanceState, ServiceName, ServiceSpec, TaskState

# -- calls


def _refuse_create(state: State, limits: Limits, event: ServiceSubmitted) -> Rejection | None:
    return (
        _refuse_new(state, limits, event.service)
        or _refuse_replicas(state, limits, 0, event.spec)
        or _refuse_hosts(state, (), event.spec.hosts)
    )


def _create(
    state: State, limits: Limits, event: ServiceSubmitted, now: float, out: Effects
) -> Answer:
    row = ServiceRow(event.service, now, event.spec)
    state.put_service(row)
    out.writes.append(PutService(row))
    _queue(state, now, out)
    audit.note(state, limits, out, event.request, now, "service", row.name, *event.changes)
    return Answer(see_service(state, row))


def _service_now(
    state: State, event: ServiceSubmitted | ServiceUpdateAsked, known: DedupRow
) -> ServiceSeen | Rejection:
    row = state.services.get(event.service)
    return see_service(state, row) if row is not None else no_service(event.service)


on_service_submitted = Call(SERVICES_SCOPE, _refuse_create, _create, _service_now)


def _refuse_update(state: State, limits: Limits, event: ServiceUpdateAsked) -> Rejection | None:
    row = state.services.get(event.service)
    if row is None:
        return no_service(event.service)
    return (
        being_deleted(row)
        or _refuse_version(row, event.version)
        or _refuse_replicas(state, limits, row.spec.replicas, event.spec)
        or _refuse_hosts(state, row.spec.hosts, event.spec.hosts)
    )


def _update(
    state: State, limits: Limits, event: ServiceUpdateAsked, now: float, out: Effects
) -> Answer:
    row = state.services[event.service]
    if row.spec.spec != event.spec.spec:
        row.spec = event.spec
        row.version += 1
        out.writes.append(PutService(row))
        audit.note(state, limits, out, event.request, now, "service", row.name, *event.changes)
        state.touch(row.name)
    return Answer(see_service(state, row))


on_service_update_asked = Call(SERVICES_SCOPE, _refuse_update, _update, _service_now)


def _refuse_delete(state: State, limits: Limits, event: ServiceDeleteAsked) -> Rejection | None:
    return no_service(event.service) if event.service not in state.services else None


def _delete(
    state: State, limits: Limits, event: ServiceDeleteAsked, now: float, out: Effects
) -> Answer:
    row = state.services[event.service]
    if not row.deleting:
        row.deleting = True
        out.writes.append(PutService(row))
        audit.note(state, limits, out, event.request, now, "service", row.name)
        state.touch(row.name)
    return Answer(Done())


def _done(state: State, event: ServiceDeleteAsked, known: DedupRow) -> Done:
    return Done()


on_service_delete_asked = Call(SERVICES_SCOPE, _refuse_delete, _delete, _done)


def being_deleted(row: ServiceRow) -> Rejection | None:
    """Why a service cannot be changed any more."""
    if not row.deleting:
        return None
    message = f"service {row.name!r} is being deleted"
    return Rejection(ErrorKind.PRECONDITION, "SERVICE_BEING_DELETED", message, "service", row.name)


def _refuse_new(state: State, limits: Limits, service: ServiceName) -> Rejection | None:
    row = state.services.get(service)
    if row is not None:
        message = f"service {service!r} " + (
            "is being deleted" if row.deleting else "already exists"
        )
        return Rejection(ErrorKind.EXISTS, "SERVICE_ALREADY_EXISTS", message, "service", service)
    if len(state.services) >= limits.services:
        return _exhausted("TOO_MANY_SERVICES", limits.services, "services")
    return None


def _refuse_replicas(
    state: State, limits: Limits, before: int, spec: ServiceSpec
) -> Rejection | None:
    if spec.replicas <= before:
        return None
    wanted = sum(row.spec.replicas for row in state.services.values()) - before + spec.replicas
    if wanted > limits.instances:
        return _exhausted("TOO_MANY_REPLICAS", limits.instances, "replicas of all services")
    return None


def _refuse_hosts(
    state: State, before: tuple[str, ...], hosts: tuple[str, ...]
) -> Rejection | None:
    """A host's requests go to one service: none may claim what is another's.

    A service that is being deleted keeps its hosts until it is gone: until then gateways know it by
    them. What the service itself has already is let be, as records may be older than this rule.
    """
    fresh = frozenset(hosts).difference(before)
    if not fresh:
        return None
    for row in state.services.values():
        for host in row.spec.hosts:
            if host in fresh:
                field = f"service.spec.proxy.hosts[{hosts.index(host)}]"
                message = f"{field}: {host!r} is a host of service {row.name!r}" + (
                    ", which is being deleted" if row.deleting else ""
                )
                return Rejection(
                    ErrorKind.EXISTS, "HOST_TAKEN", message, "service", row.name, field
                )
    return None


def _refuse_version(row: ServiceRow, version: int) -> Rejection | None:
    if row.version == version:
        return None
    message = f"etag: service {row.name!r} was changed since; read it again"
    return Rejection(ErrorKind.CONFLICT, "ETAG_MISMATCH", message, "service", row.name)


def _exhausted(reason: str, limit: int, what: str) -> Rejection:
    return Rejection(
        ErrorKind.EXHAUSTED,
        reason,
        f"the limit of {limit} {what} is reached; delete some first",
        "limit",
        str(limit),
    )


def _queue(state: State, now: float, out: Effects) -> QueueRow:
    """The queue of the replicas; made with the first service."""
    queue = state.queues.get(SERVICES_QUEUE)
    if queue is None:
        queue = state.queues[SERVICES_QUEUE] = QueueRow(QueueName(SERVICES_QUEUE), now)
        out.writes.append(PutQueue(queue))
    return queue


# -- instances


def on_instance_seen(state: State, event: InstanceSeen, now: float, out: Effects) -> None:
    state.put_instance(event.instance)


def on_instance_gone(state: State, event: InstanceGone, now: float, out: Effects) -> None:
    state.drop_instance(event.service, event.id)


# -- replicas


def on_service_due(
    state: State, limits: Limits, event: ServiceDue, now: float, out: Effects
) -> None:
    """Bring a service a step nearer to what its owner wants; nothing when it is there."""
    row = state.services.get(event.service)
    if row is None:
        return
    replicas = state.replicas.get(row.name, {})
    if row.deleting and not replicas:
        state.drop_service(row.name)
        out.writes.append(DropService(row.name))
        # Who watches it is to learn that it is gone.
        out.due.append(row.name)
        return
    desired = DesiredState(row.spec.replicas, row.spec.max_surge, row.spec.max_unavailable)
    if row.deleting:
        desired = DesiredState(0, 0, 0)
    what = plan(
        desired,
        replicas_seen(state, row),
    )
    room = limits.part_tasks
    for task in what.end[:room]:
        _end(state, replicas[task], now, out)
    create_now = min(what.create, room - min(room, len(what.end)))
    if create_now:
        assert row.spec.replica is not None
        queue = _queue(state, now, out)
        for place in range(create_now):
            create(state, queue, offset_id(event.first, place), row.spec.replica, now, out)
    if what.end or create_now:
        # Looked at again: more may be left, and who watches it is to see what is being ended.
        state.touch(row.name)


def replicas_seen(state: State, row: ServiceRow) -> list[ReplicaSeen]:
    """The replicas of a service that are not being ended."""
    replicas = state.replicas.get(row.name, {}).values()
    return [_see(state, row, one) for one in replicas if not one.cancel_requested]


def _see(state: State, service: ServiceRow, row: TaskRow) -> ReplicaSeen:
    assert row.replica is not None
    running = row.state is TaskState.RUNNING
    scaling_down = running and state.control(row.node).draining
    return ReplicaSeen(
        row.id,
        row.replica.generation == service.spec.generation and not scaling_down,
        running and _is_ready(state, row),
        not running,
    )


def _is_ready(state: State, row: TaskRow) -> bool:
    """Whether the attempt on record, no earlier one, takes requests."""
    assert row.replica is not None
    instance = state.instances.get(row.replica.service, {}).get(row.id)
    return (
        instance is not None
        and instance.state is InstanceState.HEALTHY
        and instance.attempt == row.attempt
        and instance.agent == row.instance
    )


def _end(state: State, row: TaskRow, now: float, out: Effects) -> None:
    """Cancel a replica; one that runs may finish its requests first."""
    if row.state is not TaskState.RUNNING:
        cancel_now(state, row, now, out, "its service does not want it any longer")
        return
    row.cancel_requested = True
    out.writes.append(PutRun(row))
    out.after.append(EndAttempt(row.instance, row.id, row.attempt))


# -- looking


def see_service(state: State, row: ServiceRow) -> ServiceSeen:
    """A snapshot of a service.

    Of an agent's instances only those of attempts on record are shown: others are of processes
    that were ended or given up, whatever their keys say.
    """
    replicas = state.replicas.get(row.name, {})
    shown: list[InstanceRow] = []
    for name, instance in sorted(state.instances.get(row.name, {}).items()):
        if not instance.agent:
            shown.append(instance)
            continue
        # Ids of replicas are task ids: any other name finds nothing.
        replica = replicas.get(name)  # type: ignore[call-overload]
        if replica is None or (replica.attempt, replica.instance) != (
            instance.attempt,
            instance.agent,
        ):
            continue
        if replica.cancel_requested:
            instance = replace(instance, state=InstanceState.DRAINING)
        shown.append(instance)
    live = [r for r in replicas.values() if not r.cancel_requested and r.replica is not None]
    return ServiceSeen(
        row.name,
        row.create_time,
        row.spec.spec,
        row.spec.generation,
        row.version,
        tuple(shown),
        sum(1 for instance in shown if instance.state is InstanceState.HEALTHY),
        sum(1 for r in live if r.replica and r.replica.generation == row.spec.generation),
    )
