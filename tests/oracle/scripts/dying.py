"""Expiry, limits of length, and dead letters with their history."""

from __future__ import annotations

from typing import Any

from tests.oracle.session import Session


def _graveyard(s: Session, queue: str, **more: Any) -> None:
    """A queue whose dead letters come to `dead`."""
    arguments = {"x-dead-letter-exchange": s.name("dlx"), **more}
    s.exchange("dlx", "fanout")
    s.declare("dead")
    s.bind("dead", "dlx")
    s.declare(queue, arguments)


def rejected(s: Session) -> None:
    """By a consumer."""
    _graveyard(s, "q")
    s.publish("", "q", b"reject", headers={"mine": 1}, message_id="7")
    s.get("q", "reject")
    s.get("dead")
    s.publish("", "q", b"nack")
    tag = s.get("q", "keep")
    s.step("nack", lambda: s.channel.basic_nack(tag, requeue=False))
    s.get("dead", "requeue")
    s.get("dead")
    for number in range(3):
        s.publish("", "q", b"%d" % number)
    s.get("q", "keep"), s.get("q", "keep")
    tag = s.get("q", "keep")
    s.step("nack all", lambda: s.channel.basic_nack(tag, multiple=True, requeue=False))
    for _ in range(3):
        s.get("dead")
    _graveyard(s, "keyed", **{"x-dead-letter-routing-key": "other"})
    s.publish("", "keyed", b"keyed", headers={"CC": ["cc"], "BCC": ["bcc"]})
    s.get("keyed", "reject")
    s.get("dead")
    s.declare("nowhere", {"x-dead-letter-exchange": s.name("not-there")})
    s.publish("", "nowhere", b"lost")
    s.get("nowhere", "reject")
    s.empty("nowhere")


def expired(s: Session) -> None:
    """By age."""
    _graveyard(s, "q", **{"x-message-ttl": 100})
    s.publish("", "q", b"queue's", headers={"a": 1})
    s.get("dead")
    s.publish("", "q", b"message's", expiration="50")
    s.get("dead")
    s.publish("", "q", b"the lesser", expiration="100000")
    s.get("dead")
    _graveyard(s, "plain")
    s.publish("", "plain", b"expires", expiration="50")
    s.get("dead")
    s.declare("zero", {"x-message-ttl": 0})
    s.publish("", "zero", b"gone at once")
    s.count("zero", 0)
    s.declare("unseen", {"x-message-ttl": 50})
    s.publish("", "unseen", b"gone without a trace")
    s.count("unseen", 0)


def overflow(s: Session) -> None:
    """By length and bytes."""
    _graveyard(s, "q", **{"x-max-length": 2})
    for number in range(4):
        s.publish("", "q", b"%d" % number)
    s.count("q", 2)
    s.get("dead"), s.get("dead"), s.get("q"), s.get("q")
    _graveyard(s, "bytes", **{"x-max-length-bytes": 10})
    for body in (b"12345", b"67890", b"x", b"12345678901"):
        s.publish("", "bytes", body)
    s.count("bytes", 0)
    s.step("purge", lambda: s.channel.queue_purge(s.name("dead")))
    _graveyard(s, "refuses", **{"x-max-length": 1, "x-overflow": "reject-publish"})
    s.publish("", "refuses", b"in")
    s.publish("", "refuses", b"refused")
    s.count("dead", 0)
    _graveyard(s, "buries", **{"x-max-length": 1, "x-overflow": "reject-publish-dlx"})
    s.publish("", "buries", b"in")
    s.publish("", "buries", b"buried")
    s.get("dead")
    s.declare("zero", {"x-max-length": 0})
    s.publish("", "zero", b"none fits")
    s.count("zero", 0)
    s.declare("held", {"x-max-length": 1})
    s.publish("", "held", b"1")
    s.get("held", "keep")
    s.publish("", "held", b"2")
    s.publish("", "held", b"3")
    s.count("held", 1)
    s.get("held")


def history(s: Session) -> None:
    """x-death of messages that go around."""
    s.exchange("retry", "direct")
    s.declare(
        "work",
        {"x-dead-letter-exchange": s.name("retry"), "x-dead-letter-routing-key": "later"},
    )
    s.declare(
        "wait",
        {
            "x-dead-letter-exchange": s.name("retry"),
            "x-dead-letter-routing-key": "now",
            "x-message-ttl": 50,
        },
    )
    s.bind("work", "retry", "now")
    s.bind("wait", "retry", "later")
    s.publish("", "work", b"again")
    for _ in range(3):
        s.get("work", "reject")
    s.get("work")
    # A circle without a rejection is dropped.
    s.exchange("circle", "fanout")
    s.declare("round", {"x-dead-letter-exchange": s.name("circle"), "x-message-ttl": 50})
    s.bind("round", "circle")
    s.publish("", "round", b"circles")
    s.count("round", 1)
    s.count("round", 0)


def attempts(s: Session) -> None:
    """Quorum queues count deliveries."""
    _graveyard(s, "q", **{"x-queue-type": "quorum", "x-delivery-limit": 2})
    s.publish("", "q", b"poison")

    # A first delivery has no header in RabbitMQ 4, and 0 before.
    def attempt(method: Any, properties: Any, body: bytes) -> str:
        return f"{(properties.headers or {}).get('x-delivery-count') or 0} {method.redelivered}"

    for _ in range(2):
        with s.other() as t:
            t.get("q", "keep", shown=attempt)
    s.get("q", "requeue", shown=attempt)
    s.count("q", 0)
    s.get("dead", shown=lambda m, p, b: str(p.headers["x-first-death-reason"]))


SCRIPTS = (rejected, expired, overflow, history, attempts)
