"""What each path of the API answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from gateway.amqp.hall import Hall
from gateway.amqp.management import connections, definitions, shapes
from gateway.amqp.management.failures import Failure, bad_request, not_found
from gateway.amqp.management.lists import paging
from gateway.amqp.management.rates import NONE, Rates, Totals
from gateway.amqp.management.reading import Reading
from gateway.amqp.seen import ChannelSeen, ConnectionSeen
from quorate.v1 import message_pb2 as m

_PRODUCT: Final = "Quorate"
# Queues with consumers that one answer looks at.
MOST_CONSUMED: Final = 50


@dataclass(frozen=True, slots=True)
class Shared:
    """What all requests share."""

    hall: Hall
    rates: Rates = field(default_factory=Rates)
    monotonic: Callable[[], float] = time.monotonic


class Asked(NamedTuple):
    """One request.

    Attributes:
        found: the cluster's answer to GetCluster.
        names: of the path: virtual host, then queue or exchange.
    """

    shared: Shared
    reading: Reading
    found: Any
    wanted: paging.Wanted
    names: Sequence[str]

    @property
    def host(self) -> str | None:
        """The virtual host of the path; None: all."""
        return self.names[0] if self.names else None

    @property
    def node(self) -> str:
        """What stands where RabbitMQ names a node."""
        return f"quorate@{self.found.cluster.name}"

    def rates_of(self, row: m.MessageQueue, totals: Totals) -> Totals:
        return self.shared.rates.of(row.uid, totals, self.shared.monotonic())


View = Callable[[Asked], Awaitable[Any]]


async def overview(asked: Asked) -> Any:
    """The whole, as far as the caller may list it."""
    cluster, hall = asked.found.cluster, asked.shared.hall
    seen = connections.visible(hall, asked.found.caller)
    queues = await asked.reading.queues(None)
    exchanges = await asked.reading.exchanges(None)
    totals, rates = NONE, NONE
    for row in queues:
        own = shapes.totals_of(row)
        totals = Totals(*map(sum, zip(totals, own, strict=True)))
        rates = Totals(*map(sum, zip(rates, asked.rates_of(row, own), strict=True)))
    ready = sum(row.ready for row in queues)
    unacknowledged = sum(row.unacknowledged for row in queues)
    return {
        "product_name": _PRODUCT,
        "product_version": hall.version,
        "management_version": hall.version,
        "cluster_name": cluster.name,
        "node": asked.node,
        "rates_mode": "basic",
        "exchange_types": [{"name": name, "enabled": True} for name in shapes.EXCHANGE_TYPES],
        "message_stats": shapes.stats(totals, rates),
        "queue_totals": {
            "messages": ready + unacknowledged,
            "messages_ready": ready,
            "messages_unacknowledged": unacknowledged,
        },
        "object_totals": {
            "connections": len(seen),
            "channels": sum(len(one.channels) for one in seen),
            "exchanges": len(exchanges),
            "queues": len(queues),
            "consumers": sum(row.consumers for row in queues),
        },
    }


async def whoami(asked: Asked) -> Any:
    """The caller, with RabbitMQ's tags for what it may do."""
    caller = asked.found.caller
    tags = ["management"]
    if "audit.read" in caller.permissions:
        tags.append("monitoring")
    if "quotas.write" in caller.permissions:
        tags.append("administrator")
    return {"name": caller.name.partition(":")[2] or caller.name, "tags": tags}


async def queues(asked: Asked) -> Any:
    return await paging.listed(
        asked.wanted,
        await asked.reading.queues(asked.host),
        lambda row: row.name,
        lambda row: shapes.queue(row, asked.rates_of, asked.node),
    )


async def queue(asked: Asked) -> Any:
    answer = await asked.reading.queue(*asked.names)
    row = answer.message_queue
    entry = shapes.queue(row, asked.rates_of, asked.node)
    entry["consumer_details"] = [shapes.consumer(one, row) for one in answer.consumers]
    return paging.only(entry, asked.wanted.columns)


async def exchanges(asked: Asked) -> Any:
    found = await asked.reading.exchanges(asked.host)
    return await paging.listed(asked.wanted, found, lambda row: row.name, shapes.exchange)


async def exchange(asked: Asked) -> Any:
    row = await asked.reading.exchange(*asked.names)
    return paging.only(shapes.exchange(row), asked.wanted.columns)


async def _bindings(asked: Asked, **of: str) -> Any:
    found = await asked.reading.bindings(asked.host, **of)
    return await paging.listed(asked.wanted, found, lambda row: row.source, shapes.binding)


async def bindings(asked: Asked) -> Any:
    return await _bindings(asked)


async def bindings_of_source(asked: Asked) -> Any:
    if not asked.names[1]:
        # Of the default exchange: it has none that are listed.
        return await paging.listed(asked.wanted, (), str, shapes.binding)
    return await _bindings(asked, source=asked.names[1])


async def bindings_to_exchange(asked: Asked) -> Any:
    _check_named(asked)
    return await _bindings(asked, exchange=asked.names[1])


async def bindings_to_queue(asked: Asked) -> Any:
    _check_named(asked)
    return await _bindings(asked, message_queue=asked.names[1])


def _check_named(asked: Asked) -> None:
    if not asked.names[1]:
        raise not_found()


async def consumers(asked: Asked) -> Any:
    """Of all message queues that have some."""
    consumed = [row for row in await asked.reading.queues(asked.host) if row.consumers]
    if len(consumed) > MOST_CONSUMED:
        raise bad_request(
            f"{len(consumed)} queues have consumers, the most for one answer is {MOST_CONSUMED}; "
            "ask for one virtual host, or for one queue, which lists them as consumer_details"
        )
    found = []
    for row in consumed:
        try:
            answer = await asked.reading.queue(row.virtual_host, row.name)
        except Failure as failure:
            if failure.status == 404:
                # Gone meanwhile.
                continue
            raise
        found += [shapes.consumer(one, answer.message_queue) for one in answer.consumers]
    return await paging.listed(
        asked.wanted, found, lambda entry: str(entry["queue"]["name"]), lambda entry: entry
    )


def _seen(asked: Asked) -> list[ConnectionSeen]:
    return connections.visible(asked.shared.hall, asked.found.caller)


async def open_connections(asked: Asked) -> Any:
    return await paging.listed(
        asked.wanted,
        _seen(asked),
        lambda one: one.name,
        lambda one: connections.connection(one, asked.node),
    )


async def channels(asked: Asked) -> Any:
    pairs = [(one, channel) for one in _seen(asked) for channel in one.channels]

    def entry(pair: tuple[ConnectionSeen, ChannelSeen]) -> shapes.Entry:
        return connections.channel(*pair, asked.node)

    return await paging.listed(asked.wanted, pairs, lambda pair: pair[0].name, entry)


async def virtual_hosts(asked: Asked) -> Any:
    names = await asked.reading.hosts(None)
    return await paging.listed(asked.wanted, names, str, _virtual_host)


async def virtual_host(asked: Asked) -> Any:
    (name,) = asked.names
    if name not in await asked.reading.hosts(None):
        raise not_found()
    return _virtual_host(name)


def _virtual_host(name: str) -> shapes.Entry:
    return {"name": name, "tracing": False, "cluster_state": {}, "description": "", "tags": []}


async def alarms(asked: Asked) -> Any:
    """503 while the cluster refuses messages because etcd is almost full."""
    full = asked.found.cluster.etcd.refuses
    if full:
        alarm = {"node": asked.node, "resource": "disk"}
        raise Failure(503, "alarms", full, {"status": "failed", "alarms": [alarm]})
    return {"status": "ok"}


async def exported(asked: Asked) -> Any:
    """Virtual hosts, exchanges, queues, bindings and policies, for RabbitMQ's import."""
    reading, host = asked.reading, asked.host
    hosts: Iterable[str] = await reading.hosts(host)
    return definitions.document(
        version=asked.shared.hall.version,
        hosts=hosts if host is None else (),
        queues=await reading.queues(host),
        exchanges=await reading.exchanges(host),
        bindings=await reading.bindings(host),
        policies=await reading.policies(host),
        of_one=host is not None,
    )


# Behind `/api`. A star stands for a name.
PATHS: Final[dict[tuple[str, ...], View]] = {
    ("overview",): overview,
    ("whoami",): whoami,
    ("queues",): queues,
    ("queues", "*"): queues,
    ("queues", "*", "*"): queue,
    ("queues", "*", "*", "bindings"): bindings_to_queue,
    ("exchanges",): exchanges,
    ("exchanges", "*"): exchanges,
    ("exchanges", "*", "*"): exchange,
    ("exchanges", "*", "*", "bindings", "source"): bindings_of_source,
    ("exchanges", "*", "*", "bindings", "destination"): bindings_to_exchange,
    ("bindings",): bindings,
    ("bindings", "*"): bindings,
    ("connections",): open_connections,
    ("channels",): channels,
    ("consumers",): consumers,
    ("consumers", "*"): consumers,
    ("vhosts",): virtual_hosts,
    ("vhosts", "*"): virtual_host,
    ("health", "checks", "alarms"): alarms,
    ("health", "checks", "local-alarms"): alarms,
    ("definitions",): exported,
    ("definitions", "*"): exported,
}
