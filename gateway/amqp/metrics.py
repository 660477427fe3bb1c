"""The metrics of the AMQP door. All are 0 where it is off."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from gateway.amqp.hall import Hall
from quorate.telemetry.families import counter, gauge


def metrics(hall: Hall) -> Iterator[Metric]:
    """At a scrape."""
    connections, counts = hall.connections, hall.counts
    yield gauge(
        "quorate_gateway_amqp_connections", "Open connections of AMQP clients.", len(connections)
    )
    yield gauge(
        "quorate_gateway_amqp_channels",
        "Open channels of AMQP clients.",
        sum(one.channels for one in connections),
    )
    yield gauge(
        "quorate_gateway_amqp_held_bytes",
        "Bytes that AMQP clients published and that are not durable yet.",
        sum(one.held for one in connections) + counts.draining,
    )
    yield counter(
        "quorate_gateway_amqp_published",
        "Messages that AMQP clients published outside of transactions.",
        counts.published,
    )
    yield counter(
        "quorate_gateway_amqp_delivered",
        "Messages that were sent to consumers over AMQP.",
        counts.delivered,
    )
    yield counter(
        "quorate_gateway_amqp_refused_logins", "Logins over AMQP that were refused.", counts.refused
    )
