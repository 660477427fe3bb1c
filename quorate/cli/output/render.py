"""How things look: tables for people, JSON for programs. No I/O but printing."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import re
import sys
import textwrap
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from quorate.cli.output.listing import Listing
from quorate.client.tracking.outcome import is_snoozed, shown_state, value_name
from quorate.client.transport.discovery import LocalCluster
from quorate.etcd.generation import split
from quorate.runtime.visible import deceives, visible, visible_json
from quorate.v1 import node_pb2, task_pb2


class Terminal(Console):
    """Shows control characters instead of sending them: messages, names and addresses are others'
    words, and an escape sequence among them would be carried out by the reader's terminal.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """As Console; what rich itself sends to the terminal is added later, or marked."""
        for segment in super().render(renderable, options):
            if segment.control is None and deceives(segment.text):
                yield Segment(visible(segment.text), segment.style)
            else:
                yield segment


_ID = re.compile(r"\b[0-9a-f]{32}\b")
# Random characters of an id: of 100,000 tasks about two share them.
_SHORT_ID = 8
# Stands before them.
SHORTENED = "\N{HORIZONTAL ELLIPSIS}"

# Before a command at the end of a sentence.
_COMMAND = ": quorate "
# Seconds before its start deadline from which a list says that a task is about to expire.
_SOON = 300.0
# Characters; tables that are not read in a terminal may be as wide as this.
_PIPED_WIDTH = 1_000


class Sentences(Terminal):
    """Wraps a sentence that is longer than a line of the terminal between words, see `wrapped`."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As Console."""
        if self.is_terminal:
            objects = tuple(
                wrapped(one, self.width) if isinstance(one, str) else one for one in objects
            )
        super().print(*objects, **options)


out = Terminal(highlight=False, soft_wrap=True)
err = Sentences(stderr=True, highlight=False, soft_wrap=True)

_STATE_STYLE = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "EXPIRED": "red",
    "ACTIVE": "cyan",
    "PAUSED": "yellow",
    "ASSIGNED": "blue",
    "RUNNING": "cyan",
    "READY": "green",
    "CORDONED": "yellow",
    "LEAVING": "yellow",
    "DRAINING": "yellow",
    "DRAINED": "yellow",
    "UNWRITABLE": "red",
    "LOST": "red",
    "running": "green",
    "starting": "cyan",
    "restarting": "red",
    "stopping": "yellow",
    "stopped": "dim",
}


def state_text(state: str) -> Text:
    """A state in its colour."""
    return Text(state, style=_STATE_STYLE.get(state, ""))


def node_state(node: node_pb2.Node) -> str:
    """A node's state as the documentation writes it."""
    return value_name(node_pb2.NodeState.DESCRIPTOR, node.state, "NODE_STATE_")


def table(
    *columns: str,
    right: Sequence[str] = (),
    short: Mapping[str, Callable[[str], str]] | None = None,
    elastic: Sequence[str] = (),
    wrapped: Sequence[str] = (),
    drop: Sequence[str] | None = None,
) -> Listing:
    """An empty table in the house style; see `Listing`."""
    return Listing(columns, right=right, short=short, elastic=elastic, wrapped=wrapped, drop=drop)


def show(renderable: Any) -> None:
    """Print to standard output. Piped, a table is as wide as it needs to be.

    In a terminal that is too narrow for a table, a hint names the columns that were left out.
    """
    if not out.is_terminal:
        Terminal(highlight=False, width=_PIPED_WIDTH, file=sys.stdout).print(renderable)
        return
    out.print(renderable)
    if isinstance(renderable, Listing) and (missing := renderable.left_out(out.width)):
        names = ", ".join(missing)
        hint(f"Hidden columns: {names} (too narrow; use --json)")


def short_ids(text: str) -> str:
    """The text with the last characters of each task id in it: the first ones are the time."""
    return _ID.sub(lambda found: f"{SHORTENED}{found[0][-_SHORT_ID:]}", text)


def show_tasks(listing: Listing) -> None:
    """As `show`, a table with ids of tasks; says what the short ones are."""
    show(listing)
    if out.is_terminal and SHORTENED in listing.shortened(out.width):
        hint(f"Ids are shortened to their last {_SHORT_ID} characters. Commands accept them.")


def wrapped(text: str, width: int) -> str:
    """The text in lines of `width` characters, broken between words.

    A command at its end (`...: quorate logs ID`) gets a line of its own, unbroken: it is copied.
    Text that has several lines already, such as a traceback, is left as it is.
    """
    start = text[: len(text) - len(text.lstrip("\n"))]
    text = text[len(start) :]
    if len(text) <= width or "\n" in text:
        return start + text
    words, colon, command = text.rpartition(_COMMAND)
    if not colon:
        return start + _filled(text, width)
    return f"{start}{_filled(words + ':', width)}\n  {_COMMAND[2:]}{command}"


def _filled(text: str, width: int) -> str:
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def say(text: str) -> None:
    """A sentence on standard output; in a terminal it is wrapped between words."""
    text = wrapped(text, out.width) if out.is_terminal else text
    out.print(text, markup=False)


def hint(text: str) -> None:
    """What to do next; for people, so on standard error."""
    err.print(text, style="dim", markup=False)


def warn(text: str) -> None:
    """Something that is accepted, and probably not meant; on standard error."""
    err.print(f"warning: {text}", markup=False, highlight=False, style="yellow")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    document = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write(visible_json(document) + "\n")


def as_dict(message: Message) -> dict[str, Any]:
    """A message as ProtoJSON, the same as REST has it.

    camelCase names; enum values with their prefix; 64-bit integers as strings; times in RFC 3339;
    bytes in base64. Unset fields are left out.
    """
    return json_format.MessageToDict(message)


def local_dict(cluster: LocalCluster) -> dict[str, Any]:
    """cluster.json as a document."""
    document: dict[str, Any] = json.loads(cluster.to_json())
    return document


def print_line(message: Message) -> None:
    """A message as JSON in one line, at once: one of a stream, which may never end."""
    sys.stdout.write(visible_json(json.dumps(as_dict(message), ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def print_messages(messages: Iterable[Message]) -> None:
    """A JSON array."""
    print_json([as_dict(message) for message in messages])


def seconds(value: float) -> str:
    """A duration for people: `870 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if value < 0:
        return "-"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    whole = int(value)
    for (size, name), (smaller, lesser) in itertools.pairwise(units):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {lesser}" if rest else "")
    return f"{whole} s"


def epoch(value: int) -> str:
    """An epoch for people: the generation only where the cluster was restored from a backup."""
    generation, revision = split(value)
    return str(revision) if generation == 1 else f"{revision} of generation {generation}"


def stamp(value: Timestamp) -> float:
    """Seconds since the epoch; 0 when unset."""
    return value.seconds + value.nanos / 1e9


def ago(value: Timestamp) -> str:
    """How long ago; `-` when unset."""
    when = stamp(value)
    return seconds(max(0.0, time.time() - when)) if when else "-"


def since(value: Timestamp) -> str:
    """As `ago`, in words that are no duration: `4.2 s ago`; `-` when unset."""
    return f"{ago(value)} ago" if stamp(value) else "-"


def zoned(value: Timestamp) -> str:
    """As `moment`, with the zone: `2026-01-31 12:00:00.000 CET`."""
    when = stamp(value)
    zone = dt.datetime.fromtimestamp(when).astimezone().tzname() if when else ""
    return f"{moment(value)} {zone}".rstrip()


def moment(value: Timestamp) -> str:
    """Local date and time to the millisecond; `-` when unset."""
    when = stamp(value)
    if not when:
        return "-"
    local = dt.datetime.fromtimestamp(when).astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S.") + f"{local.microsecond // 1000:03d}"


def span(value: Duration) -> str:
    """A duration field for people; `-` when unset."""
    total = value.seconds + value.nanos / 1e9
    return seconds(total) if total else "-"


def began(attempt: task_pb2.Attempt) -> float:
    """When its work started, in seconds since the epoch; 0 when it has not, or could not."""
    return 0.0 if attempt.error.type == "NOT_STARTED" else stamp(attempt.start_time)


def run_time(task: task_pb2.Task) -> str:
    """How long its latest attempt ran, or has been running."""
    if not task.attempts:
        return "-"
    attempt = task.attempts[-1]
    start, end = began(attempt), stamp(attempt.finish_time)
    return seconds(max(0.0, (end or time.time()) - start)) if start else "-"


def task_node(task: task_pb2.Task) -> str:
    """Where its latest attempt ran."""
    return task.attempts[-1].node if task.attempts else "-"


def _until_expiry(task: task_pb2.Task) -> float:
    return max(0.0, stamp(task.expire_time) - time.time())


def expires_soon(task: task_pb2.Task) -> bool:
    """Whether its start deadline is about to pass."""
    return task.HasField("expire_time") and _until_expiry(task) < _SOON


def _state_cell(task: task_pb2.Task, paused: Container[str]) -> Text:
    """The state; and why a task waits, that it is suspended, or that a graph left it out."""
    words = state_text(shown_state(task))
    if task.state == task_pb2.TASK_STATE_PENDING and task.queue in paused:
        words = words.copy()
        words.append(" (queue paused)", style="yellow")
    elif task.pending_reason:
        words = words.copy()
        words.append(" (fits no node)", style="yellow")
    elif task.limited_by:
        words = words.copy()
        words.append(" (limit)", style="yellow")
    elif task.suspended:
        words = words.copy()
        words.append(" (suspended)", style="yellow")
    elif is_snoozed(task):
        words = words.copy()
        words.append(" (snoozed)", style="yellow")
    elif expires_soon(task):
        words = words.copy()
        words.append(f" (expires in {seconds(_until_expiry(task))})", style="red")
    elif task.error.type == "SKIPPED":
        words = words.copy()
        words.append(" (skipped)", style="dim")
    return words


def task_row(task: task_pb2.Task, paused: Container[str] = ()) -> list[Any]:
    """A task in `tasks`. `paused`: the queues of which no task starts."""
    return [
        task.id,
        task.spec.name or "-",
        task.queue,
        _state_cell(task, paused),
        str(task.failures + task.crashes),
        ago(task.create_time),
        run_time(task),
        task_node(task),
    ]
