"""The kinds of objects that a file may declare, as data: their messages and calls.

A kind's `part` is what the file sets and an update sends: the object itself, or its field `spec`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.field_mask_pb2 import FieldMask

from quorate.cli.services import services
from quorate.client.client import Client
from quorate.client.messages import rpcs as broker
from quorate.client.pages import pages
from quorate.client.transport import rpcs
from quorate.client.transport.rpcs import new_request_id
from quorate.v1 import (
    broker_pb2,
    limit_pb2,
    message_pb2,
    queue_pb2,
    schedule_pb2,
    scheduler_pb2,
    service_pb2,
)

_SPEC: Final = "spec"


@dataclass(frozen=True, slots=True)
class KindOf:
    """One kind: `field` is the object's name in requests, `section` its list in answers and files.

    `update` None: an object cannot be changed. `ours`: whether a name is the cluster's own, which
    `--prune` leaves alone.
    """

    field: str
    section: str
    message: Callable[[], Any]
    listing: tuple[Any, Callable[[], Any]]
    create: tuple[Any, Callable[..., Any]]
    update: tuple[Any, Callable[..., Any]] | None
    delete: tuple[Any, Callable[..., Any]]
    spec: bool = False
    ours: Callable[[str], bool] = lambda name: False

    def part(self, found: Any) -> Any:
        """What the file is about."""
        return getattr(found, _SPEC) if self.spec else found

    def there(self, client: Client) -> Iterator[Any]:
        """Each object that the cluster has."""
        rpc, request = self.listing
        for answer in pages(client.calls, rpc, request()):
            yield from getattr(answer, self.section)

    def made(self, client: Client, wanted: Any) -> None:
        """Create an object."""
        rpc, request = self.create
        client.calls.call(rpc, request(**{self.field: wanted}, request_id=new_request_id()))

    def changed(self, client: Client, wanted: Any, fields: list[str]) -> None:
        """Change the named fields of an object, each as a whole. Of services and schedules it is
        refused if somebody else has changed them since they were read; of queues and limits, which
        have no etag, the file wins."""
        assert self.update is not None
        rpc, request = self.update
        mask = FieldMask(paths=[_SPEC] if self.spec else fields)
        client.calls.call(
            rpc,
            request(**{self.field: wanted}, update_mask=mask, request_id=new_request_id()),
        )

    def gone(self, client: Client, name: str) -> None:
        """Delete an object; an exchange only when nothing is bound to it, since its bindings would
        go with it, and files do not have them."""
        rpc, request = self.delete
        asked = request(name=name, request_id=new_request_id())
        if isinstance(asked, broker_pb2.DeleteExchangeRequest):
            asked.if_unused = True
        client.calls.call(rpc, asked)


# In the order in which they are created: queues name limits, schedules name queues.
KINDS: Final = (
    KindOf(
        "limit",
        "limits",
        limit_pb2.Limit,
        (rpcs.LIST_LIMITS, limit_pb2.ListLimitsRequest),
        (rpcs.CREATE_LIMIT, limit_pb2.CreateLimitRequest),
        (rpcs.UPDATE_LIMIT, limit_pb2.UpdateLimitRequest),
        (rpcs.DELETE_LIMIT, limit_pb2.DeleteLimitRequest),
    ),
    KindOf(
        "exchange",
        "exchanges",
        message_pb2.Exchange,
        (broker.LIST_EXCHANGES, broker_pb2.ListExchangesRequest),
        (broker.CREATE_EXCHANGE, broker_pb2.CreateExchangeRequest),
        None,
        (broker.DELETE_EXCHANGE, broker_pb2.DeleteExchangeRequest),
        ours=lambda name: not name or name.startswith("amq."),
    ),
    KindOf(
        "queue",
        "queues",
        queue_pb2.Queue,
        (rpcs.LIST_QUEUES, scheduler_pb2.ListQueuesRequest),
        (rpcs.CREATE_QUEUE, scheduler_pb2.CreateQueueRequest),
        (rpcs.UPDATE_QUEUE, scheduler_pb2.UpdateQueueRequest),
        (rpcs.DELETE_QUEUE, scheduler_pb2.DeleteQueueRequest),
        ours=lambda name: name in ("default", "services"),
    ),
    KindOf(
        "service",
        "services",
        service_pb2.Service,
        (services.LIST, service_pb2.ListServicesRequest),
        (services.CREATE, service_pb2.CreateServiceRequest),
        (services.UPDATE, service_pb2.UpdateServiceRequest),
        (services.DELETE, service_pb2.DeleteServiceRequest),
        spec=True,
    ),
    KindOf(
        "schedule",
        "schedules",
        schedule_pb2.Schedule,
        (rpcs.LIST_SCHEDULES, schedule_pb2.ListSchedulesRequest),
        (rpcs.CREATE_SCHEDULE, schedule_pb2.CreateScheduleRequest),
        (rpcs.UPDATE_SCHEDULE, schedule_pb2.UpdateScheduleRequest),
        (rpcs.DELETE_SCHEDULE, schedule_pb2.DeleteScheduleRequest),
        spec=True,
    ),
)
