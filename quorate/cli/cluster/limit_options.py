"""Options of `queue create`, `queue update`, `limit create` and `limit update`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from quorate.cli.words import count, pairs, rate, rate_text
from quorate.v1 import limit_pb2, queue_pb2

NONE: Final = "none"
_OR_NONE: Final = f'"{NONE}": no limit'

MaxRunning = Annotated[
    str, typer.Option(metavar="N", help=f"Maximum number of running tasks; {_OR_NONE}.")
]
Rate = Annotated[
    str,
    typer.Option(
        metavar="N/TIME", help=f"Maximum rate of starts, such as 10/s or 100/15m; {_OR_NONE}."
    ),
]
Burst = Annotated[
    int,
    typer.Option(
        min=0,
        help="Maximum number of starts at once after a time without starts. \\[default: the starts "
        "in 0.1 s, at least 1]",
    ),
]
KeyMaxRunning = Annotated[
    str,
    typer.Option(metavar="N", help=f"Maximum number of running tasks per limit key; {_OR_NONE}."),
]
KeyRate = Annotated[
    str,
    typer.Option(metavar="N/TIME", help=f"Maximum rate of starts per limit key; {_OR_NONE}."),
]
KeyBurst = Annotated[
    int,
    typer.Option(
        min=0,
        help="Number of starts at once per limit key. \\[default: the starts in 0.1 s, at least 1]",
    ),
]
MaxLength = Annotated[
    str, typer.Option(metavar="N", help=f"Maximum number of waiting tasks; {_OR_NONE}.")
]


Aging = Annotated[
    str,
    typer.Option(
        metavar="SECONDS",
        help='Waiting time that is worth one step of priority, in seconds; "none": no ageing.',
    ),
]
Weight = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=WEIGHT",
        help='Weight of a fairness key, such as gold=3; may be repeated; "none": all have 1.',
    ),
]


Share = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        max=1_000,
        help="Slot time that the queue gets while others wait, against a queue with share 1. "
        "\\[default: 1]",
    ),
]


def queue_order(
    queue: queue_pb2.Queue, aging: str, weights: list[str] | None, share: float | None
) -> list[str]:
    """Set the order of a queue that options name; the fields. Raises BadParameter."""
    fields = []
    if share is not None:
        fields.append("share")
        queue.share = share
    if aging:
        fields.append("aging")
        if aging != NONE:
            queue.aging.seconds = count("--aging", aging)
    if weights:
        fields.append("weights")
        for key, text in pairs("--weight", [w for w in weights if w != NONE]).items():
            try:
                queue.weights[key] = float(text)
            except ValueError:
                message = f"--weight: {text!r} is not a number"
                raise typer.BadParameter(message) from None
    return fields


Spread = Annotated[
    str,
    typer.Option(
        metavar="LABEL",
        help="Label of nodes, such as zone: --placement spread spreads the tasks over its values; "
        '"none": over nodes.',
    ),
]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="NAME",
        help='Plug-in of the schedulers that refuses nodes; may be repeated; "none": none.',
    ),
]
Score = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help='Plug-in of the schedulers that chooses the node; "none": --placement does.',
    ),
]


def queue_place(
    queue: queue_pb2.Queue, spread: str, filters: list[str] | None, score: str
) -> list[str]:
    """Set what options say of placement besides its strategy; the fields."""
    fields = []
    for name, word in (("spread_label", spread), ("score", score)):
        if word:
            fields.append(name)
            setattr(queue, name, "" if word == NONE else word)
    if filters:
        fields.append("filters")
        queue.filters.extend(name for name in filters if name != NONE)
    return fields


Events = Annotated[
    str,
    typer.Option(
        metavar="EXCHANGE",
        help="Exchange that gets a message when a task or job of the queue has ended. In another "
        'virtual host than "/": HOST/EXCHANGE. "none": no messages.',
    ),
]


def queue_events(queue: queue_pb2.Queue, events: str) -> list[str]:
    """Set where messages about ends of tasks go; the fields."""
    if not events:
        return []
    if events != NONE:
        host, _, exchange = events.rpartition("/")
        queue.events.exchange, queue.events.virtual_host = exchange, host
    return ["events"]


def put_number(message: Any, name: str, option: str, text: str) -> bool:
    """Set a limit to what an option says; whether it says anything. Raises BadParameter."""
    if not text:
        return False
    if text == NONE:
        message.ClearField(name)
    else:
        setattr(message, name, min(count(option, text), (1 << 63) - 1))
    return True


def put_rate(message: Any, name: str, option: str, text: str, burst: int) -> bool:
    """The same of a rate limit and its burst."""
    if not text:
        if burst:
            raise typer.BadParameter(f"{option} is required with its burst")
        return False
    if text == NONE:
        message.ClearField(name)
        return True
    starts, period = rate(option, text)
    target = getattr(message, name)
    target.CopyFrom(limit_pb2.RateLimit(count=starts, burst=burst))
    target.period.FromNanoseconds(round(period * 1e9))
    return True


def queue_limits(
    queue: queue_pb2.Queue,
    max_running: str,
    rate: str,
    burst: int,
    key_max_running: str,
    key_rate: str,
    key_burst: int,
    max_length: str,
    when_full: str,
) -> list[str]:
    """Set the limits of a queue that options name; their fields. Raises BadParameter."""
    fields = {
        "max_running": put_number(queue, "max_running", "--max-running", max_running),
        "rate": put_rate(queue, "rate", "--rate", rate, burst),
        "max_running_per_key": put_number(
            queue, "max_running_per_key", "--key-max-running", key_max_running
        ),
        "rate_per_key": put_rate(queue, "rate_per_key", "--key-rate", key_rate, key_burst),
        "max_length": put_number(queue, "max_length", "--max-length", max_length),
        "length_policy": bool(when_full),
    }
    if when_full:
        word = when_full.upper().replace("-", "_")
        queue.length_policy = getattr(limit_pb2, f"LENGTH_POLICY_{word}")
    return [name for name, given in fields.items() if given]


def number_text(message: Any, name: str) -> str:
    """A limit in a table."""
    return f"{getattr(message, name):,}" if message.HasField(name) else "-"


def rate_of(message: Any, name: str) -> str:
    """A rate limit in a table."""
    if not message.HasField(name):
        return "-"
    value: limit_pb2.RateLimit = getattr(message, name)
    return rate_text(value.count, value.period.ToNanoseconds() / 1e9)
