"""Publishing: returns, confirms, properties, transactions."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import pika

from tests.oracle.session import Session

PROPERTIES: tuple[dict[str, Any], ...] = (
    {},
    {"delivery_mode": 1},
    {"delivery_mode": 2},
    {"content_type": "text/plain", "content_encoding": "utf-8"},
    {"correlation_id": "c", "reply_to": "somewhere", "message_id": "m", "type": "t", "app_id": "a"},
    {"timestamp": 1_700_000_000},
    {"priority": 0},
    {"priority": 255},
    {"cluster_id": "cluster"},
    {"headers": {}},
    {"headers": {"text": "täxt", "bytes": b"\x00\xff", "yes": True, "none": None}},
    {"headers": {"int": 1, "negative": -(2**40), "real": 1.5, "list": [1, "a", [None]]}},
    {"headers": {"table": {"deep": {"deeper": {"x": 1}}}}},
    {"headers": {"decimal": decimal.Decimal("3.14")}},
    {"headers": {"time": dt.datetime(2026, 1, 2, 3, 4, 5)}},  # noqa: DTZ001 (pika takes it as UTC)
    {"expiration": "100000"},
    {"user_id": "guest"},
)


def properties(s: Session) -> None:
    """What comes back as it was sent."""
    s.declare("p")
    for one in PROPERTIES:
        s.publish("", "p", b"properties", **one)
        s.get("p")
    s.publish("", "p", b"")
    s.get("p")
    s.publish("", "p", b"big" * 100_000)
    s.step("big", lambda: len(s._await_message("p", auto=True)[2]))
    for expiration in ("-1", "soon", "", "1.5"):
        s.publish("", "p", b"expiration", expiration=expiration)
    s.publish("", "p", b"another's name", user_id="somebody")
    s.step("purge", lambda: s.channel.queue_purge(s.name("p")) and "ok")


def returns(s: Session) -> None:
    """Where nothing takes a message, and where something does not."""
    s.exchange("x", "direct")
    s.publish("", "missing", b"dropped")
    s.publish("", "missing", b"returned", mandatory=True)
    s.publish("x", "nobody", b"dropped")
    s.publish("x", "nobody", b"returned", mandatory=True, headers={"a": 1}, message_id="7")
    s.publish("missing", "k", b"no exchange")
    s.publish("missing", "k", b"no exchange", mandatory=True)
    found: list[str] = []
    channel = s.plain()
    channel.add_on_return_callback(
        lambda _, method, props, body: found.append(
            f"{method.reply_code} {s._short(method.exchange)} {method.routing_key} {body!r}"
        )
    )
    s.step(
        "returns without confirms",
        lambda: channel.basic_publish(s.name("x"), "gone", b"body", mandatory=True),
    )
    s.step("came", lambda: s.until(lambda: bool(found)) and found)
    s.declare("full", {"x-max-length": 1, "x-overflow": "reject-publish"})
    s.publish("", "full", b"fits")
    s.publish("", "full", b"refused")
    s.publish("", "full", b"refused", mandatory=True)
    s.get("full")
    s.publish("", "full", b"fits again")


def copies(s: Session) -> None:
    """CC and BCC."""
    for queue in ("to", "copy", "blind"):
        s.declare(queue)
    names = {"CC": [s.name("copy")], "BCC": [s.name("blind")]}
    s.publish("", "to", b"copies", headers=names)
    for queue in ("to", "copy", "blind"):
        s.get(queue)
    s.publish("", "to", b"twice to one", headers={"CC": [s.name("to")]})
    s.get("to")
    s.empty("to")
    s.publish("", "missing", b"copy alone", mandatory=True, headers={"CC": [s.name("copy")]})
    s.get("copy")
    for bad in ("text", 1, [1]):
        s.publish("", "to", b"bad copies", headers={"CC": bad})


def transactions(s: Session) -> None:
    """tx, and what does not go with it."""
    name = s.name
    s.declare("t")
    channel = s.plain()
    s.step("commit without select", lambda: channel.tx_commit())
    channel = s.plain()
    s.step("rollback without select", lambda: channel.tx_rollback())
    channel = s.plain()
    s.step("select", lambda: channel.tx_select())
    s.step("select again", lambda: channel.tx_select())
    s.publish("", "t", b"one")
    s.publish("", "t", b"two")
    with s.other() as t:
        t.empty("t")
        s.step("commit", lambda: channel.tx_commit())
        t.count("t", 2)
        s.publish("", "t", b"never")
        s.step("rollback", lambda: channel.tx_rollback())
        s.step("commit nothing", lambda: channel.tx_commit())
        t.count("t", 2)
    tag = s.get("t", "keep")
    s.step("ack", lambda: channel.basic_ack(tag))
    s.step("rollback", lambda: channel.tx_rollback())
    s.step("ack after the rollback", lambda: channel.basic_ack(tag))
    s.step("commit", lambda: channel.tx_commit())
    s.get("t", "keep")
    s.step("publish to no exchange", lambda: channel.basic_publish(name("missing"), "k", b"x"))
    s.step("commit of it", lambda: channel.tx_commit())
    s.plain()
    s.step("select", lambda: s.channel.tx_select())
    s.step("confirms on it", lambda: s.channel.confirm_delivery())
    s.step("a channel with confirms", lambda: s.channel.confirm_delivery())
    s.step("transactions on it", lambda: s.channel.tx_select())


def order(s: Session) -> None:
    """Many are confirmed, and lie in order."""
    s.declare("o")
    channel = s.plain()
    for number in range(50):
        channel.basic_publish("", s.name("o"), b"%d" % number, pika.BasicProperties())
    s.count("o", 50)
    s.step(
        "order",
        lambda: [int(channel.basic_get(s.name("o"), auto_ack=True)[2]) for _ in range(50)],
    )


SCRIPTS = (properties, returns, copies, transactions, order)
