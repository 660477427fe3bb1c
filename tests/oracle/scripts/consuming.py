"""Deliveries: tags, acks, requeues, prefetch, cancellation, who gets what."""

from __future__ import annotations

from typing import Any

import pika

from tests.oracle.session import Session


class Consumer:
    """Deliveries of one consumer of a session's channel."""

    def __init__(self, s: Session, queue: str, label: str = "", **how: Any) -> None:
        self._s = s
        self.bodies: list[str] = []
        self.tags: list[int] = []
        self.cancelled = False
        self.tag = ""

        def on_message(_: Any, method: Any, properties: Any, body: bytes) -> None:
            self.bodies.append(body.decode() + ("*" if method.redelivered else ""))
            self.tags.append(method.delivery_tag)

        def start() -> str:
            self.tag = s.channel.basic_consume(s.name(queue), on_message, **how)
            return "consuming"

        s.step(f"consume {queue} {label} {how or ''}", start)

    def has(self, count: int, label: str = "") -> None:
        """A step: what came, once so many did and a moment for more has passed."""

        def look() -> str:
            self._s.until(lambda: len(self.bodies) >= count)
            self._s.drain()
            return " ".join(self.bodies)

        self._s.step(f"deliveries {label}", look)


def settling(s: Session) -> None:
    """Tags, once and twice, one and many."""
    s.declare("s")
    s.empty("s")
    s.step("get missing", lambda: s.channel.basic_get(s.name("missing")))
    for number in range(8):
        s.publish("", "s", b"%d" % number)
    tag = s.get("s", "keep")
    s.step("ack", lambda: s.channel.basic_ack(tag))
    s.step("ack again", lambda: (s.channel.basic_ack(tag), s.channel.basic_qos(prefetch_count=0)))
    s.step("unknown tag", lambda: (s.channel.basic_ack(99), s.channel.basic_qos(prefetch_count=0)))
    s.step("nack of 77", lambda: (s.channel.basic_nack(77), s.channel.basic_qos()))
    s.step("reject of 77", lambda: (s.channel.basic_reject(77), s.channel.basic_qos()))
    s.step("ack of 0", lambda: (s.channel.basic_ack(0), s.channel.basic_qos(prefetch_count=0)))
    s.step(
        "ack of 0, multiple, nothing is out",
        lambda: (s.channel.basic_ack(0, multiple=True), s.channel.basic_qos(prefetch_count=0)),
    )
    s.step(
        "ack of 5, multiple, nothing is out",
        lambda: (s.channel.basic_ack(5, multiple=True), s.channel.basic_qos(prefetch_count=0)),
    )
    tags = [s.get("s", "keep") for _ in range(3)]
    s.step("ack two", lambda: s.channel.basic_ack(tags[1], multiple=True))
    s.step("requeue the third", lambda: s.channel.basic_nack(tags[2], requeue=True))
    s.get("s")
    s.get("s", "requeue")
    s.get("s", "requeue")
    s.get("s", "reject")
    s.get("s", "keep")
    s.step("recover", lambda: s.channel.basic_recover(requeue=True))
    s.get("s")
    s.get("s", "auto")
    s.get("s", "keep")
    s.step("close the channel", lambda: s.channel.close())
    s.plain()
    s.get("s")
    s.publish("", "s", b"last")
    with s.other() as t:
        t.get("s", "keep")
    s.get("s")
    s.step("recover without requeue", lambda: s.channel.basic_recover(requeue=False))


def prefetch(s: Session) -> None:
    """How many a consumer holds."""
    s.declare("p")
    for number in range(10):
        s.publish("", "p", b"%d" % number)
    s.step("qos 3", lambda: s.channel.basic_qos(prefetch_count=3))
    a = Consumer(s, "p")
    a.has(3)
    s.step("ack one", lambda: s.channel.basic_ack(a.tags[0]))
    a.has(4)
    s.step("ack all", lambda: s.channel.basic_ack(a.tags[-1], multiple=True))
    a.has(7)
    s.step("requeue all", lambda: s.channel.basic_nack(0, multiple=True, requeue=True))
    s.step("cancel", lambda: s.channel.basic_cancel(a.tag) and "cancelled")
    s.step("close", lambda: s.channel.close())
    s.plain()
    s.step("qos size", lambda: s.channel.basic_qos(prefetch_size=10))
    s.step("qos 2 global", lambda: s.channel.basic_qos(prefetch_count=2, global_qos=True))
    b, c = Consumer(s, "p"), Consumer(s, "p")
    b.has(2)
    s.drain()
    s.step("both", lambda: len(b.bodies) + len(c.bodies))


def tags(s: Session) -> None:
    """Names of consumers, cancelling, and queues that go."""
    s.declare("c")
    s.step("missing", lambda: s.channel.basic_consume(s.name("missing"), lambda *_: None))
    Consumer(s, "c", consumer_tag="same")
    other = s.connection.channel()
    s.step(
        "the same name on another channel",
        lambda: other.basic_consume(s.name("c"), lambda *_: None, consumer_tag="same"),
    )
    s.step("cancel unknown", lambda: s.channel.basic_cancel("unknown"))
    s.step("passive", lambda: s.channel.queue_declare(s.name("c"), passive=True))
    cancelled: list[str] = []
    s.channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    s.step("delete", lambda: s.channel.queue_delete(s.name("c")))
    s.step("notice", lambda: (s.until(lambda: bool(cancelled)), cancelled)[1])


def exclusive_consumers(s: Session) -> None:
    """One at a time."""
    s.declare("x")
    with s.other() as t:
        first = Consumer(t, "x", exclusive=True)
        Consumer(s, "x", "beside an exclusive one")
        Consumer(s, "x", "exclusive, beside one", exclusive=True)
        t.step("cancel", lambda: t.channel.basic_cancel(first.tag) and "cancelled")
        Consumer(t, "x")
        Consumer(s, "x", "exclusive, beside a plain one", exclusive=True)
        Consumer(s, "x", "plain")
    s.declare("single", {"x-single-active-consumer": True})
    with s.other() as t:
        a, b = Consumer(t, "single"), Consumer(s, "single")
        s.publish("", "single", b"1")
        s.publish("", "single", b"2")
        a.has(2, "of the active one")
        b.has(0, "of the waiting one")
    b.has(2, "of the waiting one, alone now")


def turns(s: Session) -> None:
    """Who gets what."""
    s.declare("t")
    a = Consumer(s, "t", auto_ack=True)
    b = Consumer(s, "t", auto_ack=True)
    for number in range(6):
        s.publish("", "t", b"%d" % number)
    s.step("all", lambda: (s.until(lambda: len(a.bodies + b.bodies) == 6), len(a.bodies))[1])
    s.declare("pr")
    low = Consumer(s, "pr", arguments={"x-priority": 1}, auto_ack=True)
    high = Consumer(s, "pr", arguments={"x-priority": 10}, auto_ack=True)
    for number in range(4):
        s.publish("", "pr", b"%d" % number)
    high.has(4, "of the higher priority")
    low.has(0, "of the lower priority")
    Consumer(s, "pr", arguments={"x-priority": "high"})
    s.declare("levels", {"x-max-priority": 5})
    for number, priority in enumerate((None, 0, 1, 5, 9, 3, 5)):
        s.publish("", "levels", b"%d" % number, priority=priority)
    for _ in range(7):
        s.get("levels")


def reply_to(s: Session) -> None:
    """Direct reply-to."""
    name = "amq.rabbitmq.reply-to"
    s.declare("rpc")
    s.step("consume with acks", lambda: s.channel.basic_consume(name, lambda *_: None))
    s.plain()
    s.step(
        "publish before consuming",
        lambda: s.channel.basic_publish("", s.name("rpc"), b"?", _reply(name)),
    )
    s.declare("rpc", passive=True)
    s.plain()
    answers = Replies(s, name)
    s.publish("", "rpc", b"question", reply_to=name, correlation_id="7")
    found: list[Any] = []

    def take() -> str:
        _, properties, body = s._await_message("rpc", auto=True)
        found.append(properties.reply_to)
        return f"{body!r}, {properties.reply_to.startswith(name + '.')}"

    s.step("the question", take)
    with s.other() as t:
        t.step("reply", lambda: t.channel.basic_publish("", found[0], b"answer"))
        t.step("declare it", lambda: t.channel.queue_declare(found[0], passive=True) and "there")
    s.step("the answer", lambda: (s.until(lambda: bool(answers.bodies)), answers.bodies)[1])
    s.step("consume again", lambda: s.channel.basic_consume(name, lambda *_: None, auto_ack=True))


class Replies:
    """What comes to the pseudo queue."""

    def __init__(self, s: Session, name: str) -> None:
        self.bodies: list[bytes] = []
        s.step(
            "consume",
            lambda: (
                s.channel.basic_consume(
                    name, lambda _c, _m, _p, body: self.bodies.append(body), auto_ack=True
                )
                and "consuming"
            ),
        )


def _reply(name: str) -> Any:
    return pika.BasicProperties(reply_to=name)


SCRIPTS = (settling, prefetch, tags, exclusive_consumers, turns, reply_to)
