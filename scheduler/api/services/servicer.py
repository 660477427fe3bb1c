"""The ServiceRegistry service of a leader: services, their outside processes, and watches.

Called by `scheduler.api.forwarding.forward` only while this process leads; it lives for one term
and answers as every family does: validate, one event, the answer at its commit. Instances of
outside processes are no events: their keys are written under a lease of their own
(`scheduler.storage.instances`), found again in the key by whoever leads next, and a call is
answered once the watch has brought them back, so that a caller reads what it wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

import structlog
from google.protobuf.message import Message

from quorate.runtime.errors import (
    ETCD_SPACE_LOW,
    QuorateError,
    exhausted,
    invalid,
    not_found,
    precondition,
)
from quorate.security.identity import current_caller
from quorate.v1 import service_pb2 as pb
from scheduler.api import validate
from scheduler.api.asking import PAGE_BYTES, after_name, ask, audited, page_of_names, refused
from scheduler.api.candidates import Candidates
from scheduler.api.origin import caller_name
from scheduler.api.servicer import Context
from scheduler.api.services import validate as bounds
from scheduler.api.services import views
from scheduler.api.services.changes import changes
from scheduler.api.services.watches import ServiceFeed
from scheduler.api.specs.check import SpecCheck
from scheduler.api.views import instant
from scheduler.core.handlers.services.services import being_deleted, see_service
from scheduler.core.model import events as e
from scheduler.core.model.answers import Done, ErrorKind, Rejection, ServiceSeen
from scheduler.core.model.events import Request
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.rows import InstanceRow, ServiceRow
from scheduler.core.placement.unplaceable import why_unplaceable
from scheduler.core.values import Change, InstanceState, ServiceName, ServiceSpec
from scheduler.engine.driver import Driver
from scheduler.storage import record_kinds, records
from scheduler.storage.instances import InstanceKeys

log = structlog.get_logger(__name__)

# Seconds until the watch has brought back what was written.
_ECHO: Final = 5.0
# Updates without an etag that others were quicker than are tried again.
_TRIES: Final = 8


@contextmanager
def _other_services_unnamed() -> Iterator[None]:
    """Whose a host is, is said only to who may name that service. Raises what the block does."""
    try:
        yield
    except QuorateError as error:
        caller = current_caller()
        named = error.metadata.get("service", "")
        if error.reason != "HOST_TAKEN" or caller is None or caller.may_name(named):
            raise
        message = f"{error.field}: this is a host of another service"
        raise QuorateError(error.code, error.reason, message, field=error.field) from None


class ServiceCalls:
    """One method for each RPC; each raises QuorateError.

    Args:
        full: why new services are refused at the moment; None when they are not.
    """

    def __init__(
        self,
        driver: Driver,
        feed: ServiceFeed,
        instances: InstanceKeys,
        check: SpecCheck,
        limits: Limits,
        full: Callable[[int], str | None],
        candidates: Candidates,
    ) -> None:
        self._driver = driver
        self._candidates = candidates
        self._state = driver.state
        self._feed = feed
        self._instances = instances
        self._check = check
        self._limits = limits
        self._full = full
        # One registration of an instance at a time; a lock is there while it is used.
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    # -- services

    async def CreateService(self, request: pb.CreateServiceRequest, context: Context) -> Message:
        asked = audited("CreateService", request, context)
        name = _name("service.name", request.service.name)
        if not request.service.HasField("spec"):
            raise invalid("service.spec", "is required")
        self._checked(request.service.spec)
        await self._require_for(request.service.spec)
        full = self._full(request.ByteSize())
        if full is not None:
            raise exhausted(ETCD_SPACE_LOW, full)
        spec = records.service_spec(name, 1, request.service.spec)
        made = changes(pb.ServiceSpec(), request.service.spec)
        with _other_services_unnamed():
            answer = await ask(
                self._driver,
                asked,
                lambda token: e.ServiceSubmitted(name, spec, asked, token, made),
            )
        return pb.CreateServiceResponse(service=self._view(answer))

    async def GetService(self, request: pb.GetServiceRequest, context: Context) -> Message:
        name = _name("name", request.name)
        row = self._state.services.get(name)
        seen = see_service(self._state, row) if row is not None else None
        await self._driver.readable()
        if seen is None:
            raise not_found("service", name)
        return pb.GetServiceResponse(service=self._view(seen))

    async def ListServices(self, request: pb.ListServicesRequest, context: Context) -> Message:
        names, token = page_of_names(
            "services", self._state.services, request.page_size, request.page_token
        )
        answer = pb.ListServicesResponse(revision=self._driver.revision)
        size = 0
        for place, name in enumerate(names):
            row = self._state.services[ServiceName(name)]
            view = self._view(see_service(self._state, row))
            size += view.ByteSize()
            if place and size > PAGE_BYTES:
                token = after_name("services", names[place - 1])
                break
            answer.services.append(view)
        answer.next_page_token = token
        await self._driver.readable()
        return answer

    async def UpdateService(self, request: pb.UpdateServiceRequest, context: Context) -> Message:
        asked = audited("UpdateService", request, context)
        name = _name("service.name", request.service.name)
        whole = not set(request.update_mask.paths) - {"spec", "*"}
        if whole and not request.service.HasField("spec"):
            raise invalid("service.spec", "is required unless update_mask names fields of it")
        if name in self._state.services:
            await self._require_for(request.service.spec)
        etag = request.service.etag
        for left in reversed(range(_TRIES)):
            spec, version, made = self._updated(name, request)
            make = partial(_update, name, spec, version, asked, made)
            answer = await self._driver.call(make, request=asked)
            if not isinstance(answer, Rejection):
                return pb.UpdateServiceResponse(service=self._view(answer))
            if answer.kind is not ErrorKind.CONFLICT or etag or not left:
                with _other_services_unnamed():
                    raise refused(answer)
        raise AssertionError("the last try is answered")

    def _updated(
        self, name: ServiceName, request: pb.UpdateServiceRequest
    ) -> tuple[ServiceSpec, int, tuple[Change, ...]]:
        """The spec that an update makes of the one on record, the version that this is, and what
        is changed of it.

        Version 0, which is nobody's, when the etag is another one: whether this very call was done
        before, and is to get its first answer, is for the machine to know.
        """
        row = self._state.services.get(name)
        paths = request.update_mask.paths
        old = pb.ServiceSpec.FromString(row.spec.spec if row is not None else b"")
        new = bounds.masked(old, request.service.spec, paths)
        if row is None:
            return records.service_spec(name, 0, new), 0, ()
        self._checked(new)
        generation = row.spec.generation + records.replaces_replicas(old, new)
        spec = records.service_spec(name, generation, new)
        etag = request.service.etag
        if etag and etag != views.etag(see_service(self._state, row)):
            return spec, 0, ()
        return spec, row.version, changes(old, new)

    def _checked(self, spec: pb.ServiceSpec) -> None:
        bounds.service_spec(self._check, spec, "service.spec", self._driver.clock.now())

    async def _require_for(self, spec: pb.ServiceSpec) -> None:
        """Return when every scheduler keeps to what a spec says. Raises QuorateError."""
        if spec.HasField("placement"):
            await self._candidates.require(record_kinds.SERVICE_PLACEMENT)

    def _view(self, seen: object) -> pb.Service:
        """A service, with the reason why replicas cannot start as things are."""
        assert isinstance(seen, ServiceSeen)
        view = views.service(seen)
        row = self._state.services.get(seen.name)
        replica = row.spec.replica if row is not None else None
        if row is not None and replica is not None and seen.ready < row.spec.replicas:
            view.pending_reason = why_unplaceable(self._state, replica.needs, replica.rules)
        return view

    async def DeleteService(self, request: pb.DeleteServiceRequest, context: Context) -> Message:
        asked = audited("DeleteService", request, context)
        name = _name("name", request.name)
        answer = await ask(
            self._driver, asked, lambda token: e.ServiceDeleteAsked(name, asked, token)
        )
        assert isinstance(answer, Done)
        return pb.DeleteServiceResponse()

    # -- outside processes

    async def RegisterInstance(
        self, request: pb.RegisterInstanceRequest, context: Context
    ) -> Message:
        given = request.instance
        name = _name("instance.service", given.service)
        bounds.instance(given)
        ttl = bounds.ttl(request)
        async with self._lock(name, given.id):
            # Committed, and this process leads: a registration promises `ttl` seconds.
            await self._driver.barrier()
            self._refuse_instance(name, given.id)
            known = self._known(name, given.id)
            wanted = self._wanted(given, known)
            lease = 0
            if known is not None and await self._instances.renew(known.lease, ttl):
                lease = known.lease
                if known.message == wanted:
                    return pb.RegisterInstanceResponse(instance=wanted)
            under = await self._instances.put(wanted, lease, ttl)
            if known is not None and known.lease != under:
                # Its key has left it already.
                await self._instances.revoke(known.lease)
            await self._feed.until(lambda: self._is_known(name, wanted, under), _ECHO)
        # In the process's log, not in the audit log: programs do this all the time.
        log.info(
            "instance_registered",
            service=name,
            instance=given.id,
            address=given.address,
            caller=caller_name(),
        )
        return pb.RegisterInstanceResponse(instance=wanted)

    async def DeregisterInstance(
        self, request: pb.DeregisterInstanceRequest, context: Context
    ) -> Message:
        name = _name("service", request.service)
        bounds.instance_id("id", request.id)
        async with self._lock(name, request.id):
            await self._driver.barrier()
            self._service(name)
            known = self._known(name, request.id)
            if known is None:
                raise not_found("instance", request.id)
            if known.agent:
                raise _is_replica(request.id)
            await self._instances.revoke(known.lease)
            await self._feed.until(lambda: self._known(name, request.id) is None, _ECHO)
        log.info("instance_deregistered", service=name, instance=request.id, caller=caller_name())
        return pb.DeregisterInstanceResponse()

    def _lock(self, service: str, instance: str) -> asyncio.Lock:
        return self._locks.setdefault((service, instance), asyncio.Lock())

    def _service(self, name: ServiceName) -> ServiceRow:
        row = self._state.services.get(name)
        if row is None:
            raise not_found("service", name)
        return row

    def _known(self, service: ServiceName, instance: str) -> InstanceRow | None:
        return self._state.instances.get(service, {}).get(instance)

    def _is_known(self, service: ServiceName, wanted: pb.ServiceInstance, lease: int) -> bool:
        row = self._known(service, wanted.id)
        return row is not None and row.lease == lease and row.message == wanted

    def _refuse_instance(self, name: ServiceName, instance: str) -> None:
        row = self._service(name)
        known = self._known(name, instance)
        rejection = being_deleted(row)
        if rejection is not None:
            raise refused(rejection)
        if row.spec.replica is not None:
            raise precondition(
                "SERVICE_HAS_REPLICAS",
                f"service {name!r} has a command, so its instances are its replicas; none can "
                "be registered",
                service=name,
            )
        if known is not None:
            if known.agent:
                # Of a command that the service had until now: under its agent's lease.
                raise _is_replica(instance)
            return
        limits = self._limits
        here = len(self._state.instances.get(name, {}))
        for count, limit in (
            (self._state.instance_count, limits.instances),
            (here, limits.service_instances),
        ):
            if count >= limit:
                raise exhausted(
                    "TOO_MANY_INSTANCES",
                    f"the limit of {limit} instances is reached; remove some first",
                    limit=limit,
                )

    def _wanted(self, given: pb.ServiceInstance, known: InstanceRow | None) -> pb.ServiceInstance:
        """The instance to be kept: what the caller says, and since when it is there."""
        wanted = pb.ServiceInstance(
            service=given.service,
            id=given.id,
            address=given.address,
            state=given.state or int(InstanceState.HEALTHY),  # type: ignore[arg-type]
            weight=given.weight or 1,
            labels=given.labels,
        )
        if known is not None and isinstance(known.message, pb.ServiceInstance):
            wanted.start_time.CopyFrom(known.message.start_time)
        else:
            wanted.start_time.CopyFrom(instant(self._driver.clock.now()))
        return wanted

    # -- watching

    async def WatchServices(
        self, request: pb.WatchServicesRequest, context: Context
    ) -> AsyncIterator[Message]:
        bounds.watched(request.names)
        await self._driver.room()
        async with aclosing(self._feed.follow(request.names)) as answers:
            async for answer in answers:
                yield answer


def _update(
    name: ServiceName,
    spec: ServiceSpec,
    version: int,
    asked: Request,
    made: tuple[Change, ...],
    token: Pending[object],
) -> e.ServiceUpdateAsked:
    return e.ServiceUpdateAsked(name, spec, version, asked, token, made)


def _name(field: str, name: str) -> ServiceName:
    return ServiceName(validate.queue_name(field, name))


def _is_replica(instance: str) -> QuorateError:
    return precondition(
        "INSTANCE_IS_REPLICA",
        f"instance {instance!r} is a replica; cancel its task to have it replaced",
        instance=instance,
    )
