"""Exchanges: declared and refused, bindings, and which messages reach a queue."""

from __future__ import annotations

from typing import Any

from tests.oracle.session import Session

# Patterns, and keys that are tried with each.
PATTERNS = ("#", "*", "a.*", "a.#", "#.c", "*.b.#", "a.*.c", "", "a..c", "*.*", "#.b.#", "a.#.#.c")
KEYS = ("", "a", "a.b", "a.b.c", "a..c", "b", "a.c", ".", "a.b.b.c")
# Arguments of a binding, and headers that are tried with each.
MATCHES: tuple[dict[str, Any], ...] = (
    {"x-match": "all", "a": 1, "b": "x"},
    {"x-match": "any", "a": 1, "b": "x"},
    {"a": 1},
    {"x-match": "all"},
    {"x-match": "any"},
    {"x-match": "all", "a": None},
    {"x-match": "all", "x-a": 1},
    {"x-match": "all-with-x", "x-a": 1},
    {"x-match": "any-with-x", "x-a": 1, "b": "y"},
    {"x-match": "all", "a": True},
    {"x-match": "all", "a": [1, 2]},
)
HEADERS: tuple[dict[str, Any] | None, ...] = (
    None,
    {},
    {"a": 1},
    {"a": "1"},
    {"a": 1, "b": "x"},
    {"b": "x", "c": 3},
    {"x-a": 1},
    {"a": True},
    {"a": [1, 2]},
    {"a": None},
)


def exchanges(s: Session) -> None:
    """Declarations of exchanges."""
    name = s.name
    for kind in ("direct", "fanout", "topic", "headers"):
        s.exchange(kind, kind)
        s.exchange(kind, kind)
    s.exchange("direct", "topic")
    s.exchange("direct", "direct", durable=True)
    s.exchange("direct", "direct", auto_delete=True)
    s.exchange("direct", "direct", internal=True)
    s.exchange("direct", "direct", passive=True)
    s.exchange("direct", "topic", passive=True)
    s.exchange("missing", "direct", passive=True)
    s.exchange("odd", "no-such-type")
    s.exchange("amq.own", "direct")
    s.exchange("amq.direct", "direct", durable=True)
    s.exchange("amq.direct", "topic", durable=True)
    s.exchange("amq.match", "headers", passive=True)
    s.exchange("", "direct", passive=True)
    s.exchange("", "direct", durable=True)
    s.step("delete missing", lambda: s.channel.exchange_delete(name("missing")))
    s.step("delete amq.direct", lambda: s.channel.exchange_delete("amq.direct"))
    s.step("delete the default one", lambda: s.channel.exchange_delete(""))
    s.declare("q")
    s.bind("q", "direct", "k")
    s.step("if unused", lambda: s.channel.exchange_delete(name("direct"), if_unused=True))
    s.step("delete", lambda: s.channel.exchange_delete(name("direct")))
    s.publish("direct", "k")
    s.exchange("internal", "fanout", internal=True)
    s.publish("internal", "k")
    s.exchange("auto", "fanout", auto_delete=True)
    s.bind("q", "auto")
    s.step("unbind", lambda: s.channel.queue_unbind(name("q"), name("auto"), ""))
    s.exchange("auto", "fanout", passive=True)


def bindings(s: Session) -> None:
    """Bindings of queues and exchanges."""
    name = s.name
    s.declare("q")
    s.exchange("d", "direct")
    s.exchange("f", "fanout")
    s.bind("missing", "d", "k")
    s.bind("q", "missing", "k")
    s.bind("q", "", "k")
    s.step("unbind missing", lambda: s.channel.queue_unbind(name("q"), name("d"), "none"))
    s.step("unbind no queue", lambda: s.channel.queue_unbind(name("missing"), name("d"), "none"))
    s.step("unbind no exchange", lambda: s.channel.queue_unbind(name("q"), name("none"), "none"))
    s.bind("q", "d", "k")
    s.bind("q", "d", "k")
    s.bind("q", "d", "l")
    s.publish("d", "k", b"once", mandatory=True)
    s.count("q", 1)
    s.publish("d", "K", b"case", mandatory=True)
    s.step("unbind", lambda: s.channel.queue_unbind(name("q"), name("d"), "k"))
    s.publish("d", "k", b"unbound", mandatory=True)
    s.publish("d", "l", b"other key", mandatory=True)
    s.bind_exchange("missing", "f")
    s.bind_exchange("d", "missing")
    s.bind_exchange("d", "")
    s.bind_exchange("d", "f", "ignored")
    s.bind_exchange("f", "d", "l")
    s.bind_exchange("f", "f")
    s.publish("f", "l", b"through two", mandatory=True)
    s.count("q", 3)
    s.step("unbind exchange", lambda: s.channel.exchange_unbind(name("d"), name("f"), "ignored"))
    s.publish("f", "nobody", b"nowhere", mandatory=True)
    s.exchange("fallback", "fanout")
    s.declare("rest")
    s.bind("rest", "fallback")
    s.exchange("main", "direct", arguments={"alternate-exchange": name("fallback")})
    s.exchange("main", "direct", arguments={"alternate-exchange": name("d")})
    s.exchange("main", "direct")
    s.bind("q", "main", "here")
    s.publish("main", "elsewhere", b"rest", mandatory=True)
    s.publish("main", "here", b"here", mandatory=True)
    s.get("rest")
    s.empty("rest")
    s.exchange("nowhere", "direct", arguments={"alternate-exchange": name("not-there")})
    s.publish("nowhere", "k", b"lost", mandatory=True)
    s.exchange("bad", "direct", arguments={"alternate-exchange": 1})


def topics(s: Session) -> None:
    """Patterns of topic exchanges."""
    for number, pattern in enumerate(PATTERNS):
        s.exchange(f"t{number}", "topic")
        s.declare(f"q{number}")
        s.bind(f"q{number}", f"t{number}", pattern)
        for key in KEYS:
            s.publish(f"t{number}", key, b"topic", mandatory=True)


def headers(s: Session) -> None:
    """Headers exchanges."""
    s.declare("bad")
    s.exchange("hbad", "headers")
    s.bind("bad", "hbad", "", {"x-match": "some"})
    s.bind("bad", "hbad", "", {"x-match": 1})
    for number, arguments in enumerate(MATCHES):
        s.exchange(f"h{number}", "headers")
        s.declare(f"q{number}")
        s.bind(f"q{number}", f"h{number}", "", arguments)
        for found in HEADERS:
            s.publish(f"h{number}", "ignored", b"headers", mandatory=True, headers=found)


SCRIPTS = (exchanges, bindings, topics, headers)
