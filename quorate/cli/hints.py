"""Commands in hints, with the options that said which cluster is meant: they can be copied."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

# Commands that consist of two words, and work with a cluster.
GROUPS: Final = frozenset(
    {
        *("queue", "job", "service", "schedule", "dead", "limit", "quota", "pauses"),
        *("exchange", "binding", "mq", "stream", "etcd", "node"),
    }
)
_options: list[str] = []


def remember(address: str | None, data_dir: Path | None) -> None:
    """Note what --address and --data-dir said; None: not given."""
    _options[:] = []
    if address is not None:
        _options.extend(("--address", address))
    if data_dir is not None:
        _options.extend(("--data-dir", str(data_dir)))


def command(text: str) -> str:
    """`quorate logs ID` for `logs ID`, with the noted options."""
    words = text.split(" ")
    own = 2 if words[0] in GROUPS else 1
    given = [shlex.quote(option) for option in _options]
    return " ".join(["quorate", *words[:own], *given, *words[own:]])
