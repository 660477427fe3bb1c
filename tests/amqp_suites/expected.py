"""Tests of the suites that do not pass, by suite: patterns of their names, and why."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

NOT_PASSING: Final[dict[str, dict[str, str]]] = {
    "kombu": {},
    "aio-pika": {
        "*::test_big_message*": "its body has 22 MB; the limit is 16 MiB, as RabbitMQ 4's",
        "*::test_wrong_credentials*": "the broker has no authentication: it takes any password",
    },
    "pika": {},
}
# Tests that pass or fail, with RabbitMQ too.
SOMETIMES: Final[dict[str, dict[str, str]]] = {
    "kombu": {},
    "aio-pika": {
        "test_amqp_robust_proxy::test_channel_reconnect_stairway*": (
            "it has 30 s, of which the client's own pauses and reconnections take most"
        ),
        "pytest::internal": "what the test before it left behind",
    },
    "pika": {},
}


def reason(suite: str, test: str) -> str | None:
    """Why a test does not pass; None: it has to."""
    for pattern, why in (NOT_PASSING[suite] | SOMETIMES[suite]).items():
        if matches(pattern, test):
            return why
    return None


def matches(pattern: str, test: str) -> bool:
    """Whether a pattern names a test. Brackets are parameters of pytest, not of patterns."""
    return fnmatchcase(test, pattern.replace("[", "[[]"))
