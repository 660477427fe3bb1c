"""Queues: declared, declared again, refused, exclusive, deleted."""

from __future__ import annotations

import time

from tests.oracle.session import Session

# Arguments that a declaration refuses, or takes.
ARGUMENTS: tuple[dict[str, object], ...] = (
    {"x-message-ttl": -1},
    {"x-message-ttl": "100"},
    {"x-message-ttl": 2**31},
    {"x-expires": 0},
    {"x-expires": -1},
    {"x-expires": 60_000},
    {"x-max-length": -1},
    {"x-max-length": "3"},
    {"x-max-length": 3},
    {"x-max-length-bytes": -1},
    {"x-overflow": "nothing"},
    {"x-overflow": "reject-publish"},
    {"x-dead-letter-exchange": 1},
    {"x-dead-letter-routing-key": "k"},
    {"x-dead-letter-exchange": "not-there"},
    {"x-max-priority": -1},
    {"x-max-priority": 256},
    {"x-max-priority": 10},
    {"x-max-priority": "10"},
    {"x-queue-type": "unknown"},
    {"x-queue-type": "classic"},
    {"x-queue-type": "quorum"},
    {"x-queue-type": "stream"},
    {"x-queue-mode": "lazy"},
    {"x-queue-mode": "eager"},
    {"x-single-active-consumer": "yes"},
    {"x-single-active-consumer": True},
    {"x-consumer-timeout": -1},
    {"x-delivery-limit": "2"},
    {"x-nobody-knows": [1, {"a": None}]},
    {"x-max-age": "1h"},
)


def queues(s: Session) -> None:
    """Declarations of queues."""
    s.declare("a")
    s.declare("a")
    s.declare("a", durable=False)
    s.declare("a", auto_delete=True)
    s.declare("a", {"x-message-ttl": 1000})
    s.declare("a", {"x-nobody-knows": 1})
    s.declare("a", {"x-max-length": 10})
    s.declare("a", passive=True)
    s.declare("a", passive=True, durable=False)
    s.declare("missing", passive=True)
    s.declare("")
    s.declare("amq.own")
    s.declare("n" * 200)
    s.declare("with space/slash%é")
    s.declare("ttl", {"x-message-ttl": 1000})
    s.declare("ttl", {"x-message-ttl": 2000})
    s.declare("ttl")
    s.declare("ttl", {"x-message-ttl": 1000})
    s.declare("kept", {"x-nobody-knows": 1})
    s.declare("kept", {"x-nobody-knows": 2})
    for number, arguments in enumerate(ARGUMENTS):
        s.declare(f"argument-{number}", arguments)
    s.declare("quorum-transient", {"x-queue-type": "quorum"}, durable=False)
    s.declare("quorum-exclusive", {"x-queue-type": "quorum"}, exclusive=True)
    s.declare("quorum-auto", {"x-queue-type": "quorum"}, auto_delete=True)
    s.declare("stream-transient", {"x-queue-type": "stream"}, durable=False)
    s.declare("stream-ttl", {"x-queue-type": "stream", "x-message-ttl": 10})
    s.declare("typed", {"x-queue-type": "quorum"})
    s.declare("typed", {"x-queue-type": "classic"})
    s.declare("typed")


def deleting(s: Session) -> None:
    """Deletes and purges."""
    name = s.name
    s.step("delete missing", lambda: s.channel.queue_delete(name("missing")))
    s.step("purge missing", lambda: s.channel.queue_purge(name("missing")))
    s.declare("d")
    s.publish("", "d")
    s.publish("", "d")
    s.count("d", 2)
    s.step("delete if empty", lambda: s.channel.queue_delete(name("d"), if_empty=True))
    s.step("purge", lambda: s.channel.queue_purge(name("d")))
    s.publish("", "d")
    s.step("consume", lambda: s.channel.basic_consume(name("d"), lambda *_: None) and "ok")
    s.drain()
    s.step("purge leaves what is not acknowledged", lambda: s.channel.queue_purge(name("d")))
    s.declare("out")
    s.publish("", "out")
    s.get("out", "keep")
    s.step("delete if all is out", lambda: s.channel.queue_delete(name("out"), if_empty=True))
    s.step("delete if unused", lambda: s.channel.queue_delete(name("d"), if_unused=True))
    s.step("delete", lambda: s.channel.queue_delete(name("d")))
    s.declare("d", passive=True)
    s.declare("last")
    s.exchange("x", "fanout")
    s.bind("", "x", "")
    s.publish("x", "", b"for the last one")
    s.get("last")
    s.step("delete without a name", lambda: s.channel.queue_delete(""))
    with s.other() as fresh:
        fresh.step("no last queue", lambda: fresh.channel.queue_bind("", name("x"), ""))
        fresh.step("get without a name", lambda: str(fresh.channel.basic_get("")[0]))


def exclusive(s: Session) -> None:
    """Queues of one connection, and queues that go with their last consumer."""
    name = s.name
    s.declare("e", exclusive=True)
    s.declare("e", exclusive=True)
    s.declare("e")
    s.exchange("x", "fanout")
    with s.other() as t:
        t.declare("e", exclusive=True)
        t.declare("e", passive=True)
        t.step("consume", lambda: t.channel.basic_consume(name("e"), lambda *_: None))
        t.step("get", lambda: t.channel.basic_get(name("e")))
        t.step("purge", lambda: t.channel.queue_purge(name("e")))
        t.step("delete", lambda: t.channel.queue_delete(name("e")))
        t.step("bind", lambda: t.channel.queue_bind(name("e"), name("x"), ""))
        t.step("unbind", lambda: t.channel.queue_unbind(name("e"), name("x"), ""))
        t.publish("", "e", b"from another", mandatory=True)
        t.declare("mine", exclusive=True)
        t.declare("shared", exclusive=False)
    s.get("e")
    s.gone("mine")
    s.declare("shared", passive=True)
    s.declare("auto", auto_delete=True)
    s.declare("auto", passive=True)
    tags: list[str] = []
    s.step("consume", lambda: tags.append(s.channel.basic_consume(name("auto"), lambda *_: None)))
    s.declare("auto", passive=True)
    s.step("cancel", lambda: s.channel.basic_cancel(tags[0]) and "messages")
    s.gone("auto")
    s.declare("expires", {"x-expires": 400})
    for _ in range(4):
        time.sleep(0.2)
        s.declare("expires", {"x-expires": 400})
    time.sleep(1.0)
    s.declare("expires", passive=True)


SCRIPTS = (queues, deleting, exclusive)
