"""Services as callers see them."""

from __future__ import annotations

from quorate.v1 import service_pb2
from scheduler.api.views import instant
from scheduler.core.model.answers import ServiceSeen


def service(seen: ServiceSeen) -> service_pb2.Service:
    """A service with its instances."""
    view = service_pb2.Service(
        name=seen.name,
        spec=service_pb2.ServiceSpec.FromString(seen.spec),
        generation=seen.generation,
        etag=etag(seen),
        create_time=instant(seen.create_time),
        ready=seen.ready,
        updated=seen.updated,
    )
    for instance in seen.instances:
        shown = view.instances.add()
        assert isinstance(instance.message, service_pb2.ServiceInstance)
        shown.CopyFrom(instance.message)
        # What the key says counts: anybody's program may have written the value.
        shown.service, shown.id = seen.name, instance.id
        shown.state = int(instance.state)  # type: ignore[assignment]
    return view


def etag(seen: ServiceSeen) -> str:
    """Opaque; another one for another service that had the same name before."""
    return f"{int(seen.create_time * 1000):x}-{seen.version:x}"
