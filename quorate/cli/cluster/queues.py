"""Commands about queues: `queues`, and `queue create | update | pause | resume | delete`.

`queue template` is in `quorate.cli.control.templates`.
"""

from __future__ import annotations

import enum
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from quorate.cli.cluster import limit_options as o
from quorate.cli.common import Json, with_client
from quorate.cli.output import render
from quorate.cli.output.render import hint
from quorate.client.client import Client
from quorate.client.pages import list_queues
from quorate.client.transport.rpcs import (
    CREATE_QUEUE,
    DELETE_QUEUE,
    PAUSE_QUEUE,
    RESUME_QUEUE,
    UPDATE_QUEUE,
    new_request_id,
)
from quorate.runtime.errors import QuorateError
from quorate.v1 import queue_pb2, scheduler_pb2

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]

group = typer.Typer(
    help="List queues; create, change, pause, resume or delete one.", no_args_is_help=True
)


class Placement(enum.StrEnum):
    """Placement strategy."""

    LEAST_LOADED = "least-loaded"
    ROUND_ROBIN = "round-robin"
    CONSISTENT_HASH = "consistent-hash"
    BIN_PACK = "bin-pack"
    SPREAD = "spread"
    RANDOM_OF_TWO = "random-of-two"


class Disconnect(enum.StrEnum):
    """What a disconnected node does with its attempts."""

    KEEP = "keep"
    STOP = "stop"


class WhenFull(enum.StrEnum):
    """What happens to a new task of a full queue."""

    REJECT = "reject"
    DROP_OLDEST = "drop-oldest"


@with_client
def queues(client: Client, as_json: Json = False) -> None:
    """List the queues and how many tasks they have.

    RUNNING includes assigned tasks. LONGEST WAIT is how long the oldest pending task has waited.
    """
    found = list(list_queues(client.calls))
    if as_json:
        render.print_messages(found)
        return
    render.show(queue_table(found))
    if has_subtasks(client):
        hint("Subtasks of jobs are counted, too. 'quorate tasks' does not list them.")


# The command of the same name, for those who try it.
group.command("list")(queues)


class PauseScope(enum.Enum):
    """What a paused queue does not do."""

    DISPATCH = "dispatch"
    ADMISSION = "admission"
    BOTH = "both"


# Jobs.
_LOOKED_AT = 100
_COUNTS = (
    "SCHEDULED",
    "BLOCKED",
    "PENDING",
    "PAUSED",
    "RUNNING",
    "SUCCEEDED",
    "FAILED",
    "CANCELLED",
    "EXPIRED",
)


def has_subtasks(client: Client) -> bool:
    """Whether counts of queues have subtasks of jobs in them; False where the caller may not know.

    Among the newest jobs only: it is for a hint.
    """
    with suppress(QuorateError):
        jobs = islice(client.jobs(page_size=_LOOKED_AT), _LOOKED_AT)
        return any(not job.spec.HasField("graph") for job in jobs)
    return False


def queue_table(found: Sequence[queue_pb2.Queue]) -> Table:
    """Queues with their counts."""
    table = render.table(
        *("QUEUE", *_COUNTS, "LONGEST WAIT", "PLACEMENT"),
        right=_COUNTS,
        drop=(
            *("PLACEMENT", "BLOCKED", "PAUSED", "EXPIRED", "LONGEST WAIT", "SCHEDULED"),
            *("CANCELLED", "SUCCEEDED", "FAILED", "RUNNING", "PENDING"),
        ),
    )
    for queue in found:
        name = Text(queue.name)
        if words := paused_words(queue):
            name.append(f" ({words})", style="yellow")
        placement = queue_pb2.PlacementStrategy.Name(queue.placement)
        table.add_row(
            name,
            *(f"{getattr(queue.counts, column.lower()):,}" for column in _COUNTS),
            render.ago(queue.oldest_pending_time),
            _placement(placement),
        )
    return table


def paused_words(queue: queue_pb2.Queue) -> str:
    """That a queue is paused and how, in a word or two; empty when it is not."""
    if queue.pause.scope == queue_pb2.PAUSE_SCOPE_ADMISSION:
        return "accepts no tasks"
    if queue.pause.scope == queue_pb2.PAUSE_SCOPE_BOTH:
        return "paused, accepts no tasks"
    return "paused" if queue.paused else ""


def _placement(name: str) -> str:
    """As `queue create --placement` takes it."""
    word = name.removeprefix("PLACEMENT_STRATEGY_").replace("UNSPECIFIED", "LEAST_LOADED")
    return word.lower().replace("_", "-")


_KEEP_AGE = typer.Option(
    metavar="SECONDS",
    help="Time that finished tasks stay stored, in seconds. \\[default: 86400, which is 24 hours]",
)
_PLACEMENT = typer.Option(help="Placement strategy: how the queue chooses a node.")
_DISCONNECT = typer.Option(
    help="What a node does with its running attempts while it has no connection to the leader."
)
_WHEN_FULL = typer.Option(help="What happens to a new task at --max-length. \\[default: reject]")


@group.command("create")
@with_client
def create(
    client: Client,
    queue: Name,
    placement: Annotated[Placement, _PLACEMENT] = Placement.LEAST_LOADED,
    keep_age: Annotated[float | None, _KEEP_AGE] = None,
    keep_count: Annotated[
        int,
        typer.Option(
            help="Maximum number of finished tasks that stay stored. \\[default: 100,000]",
            show_default=False,
        ),
    ] = 0,
    disconnect: Annotated[Disconnect, _DISCONNECT] = Disconnect.KEEP,
    max_running: o.MaxRunning = "",
    rate: o.Rate = "",
    burst: o.Burst = 0,
    key_max_running: o.KeyMaxRunning = "",
    key_rate: o.KeyRate = "",
    key_burst: o.KeyBurst = 0,
    max_length: o.MaxLength = "",
    when_full: Annotated[WhenFull | None, _WHEN_FULL] = None,
    aging: o.Aging = "",
    weight: o.Weight = None,
    share: o.Share = None,
    spread: o.Spread = "",
    filters: o.Filters = None,
    score: o.Score = "",
    events: o.Events = "",
) -> None:
    """Create a queue."""
    wanted = queue_pb2.Queue(
        name=queue,
        placement=f"PLACEMENT_STRATEGY_{placement.name}",
        disconnect=f"DISCONNECT_POLICY_{disconnect.name}",
    )
    wanted.retention.count = keep_count
    if keep_age is not None:
        wanted.retention.age.FromNanoseconds(int(keep_age * 1e9))
    o.queue_limits(
        *(wanted, max_running, rate, burst, key_max_running, key_rate, key_burst, max_length),
        when_full or "",
    )
    o.queue_order(wanted, aging, weight, share)
    o.queue_place(wanted, spread, filters, score)
    o.queue_events(wanted, events)
    request = scheduler_pb2.CreateQueueRequest(queue=wanted, request_id=new_request_id())
    client.calls.call(CREATE_QUEUE, request)
    sys.stdout.write(f"{queue} created\n")


@group.command("update")
@with_client
def update(
    client: Client,
    queue: Name,
    placement: Annotated[Placement | None, _PLACEMENT] = None,
    keep_age: Annotated[float | None, _KEEP_AGE] = None,
    keep_count: Annotated[
        int | None, typer.Option(help="Maximum number of finished tasks that stay stored.")
    ] = None,
    disconnect: Annotated[Disconnect | None, _DISCONNECT] = None,
    max_running: o.MaxRunning = "",
    rate: o.Rate = "",
    burst: o.Burst = 0,
    key_max_running: o.KeyMaxRunning = "",
    key_rate: o.KeyRate = "",
    key_burst: o.KeyBurst = 0,
    max_length: o.MaxLength = "",
    when_full: Annotated[WhenFull | None, _WHEN_FULL] = None,
    aging: o.Aging = "",
    weight: o.Weight = None,
    share: o.Share = None,
    spread: o.Spread = "",
    filters: o.Filters = None,
    score: o.Score = "",
    events: o.Events = "",
) -> None:
    """Change settings of a queue. Options that you leave out change nothing. Running tasks go on.

    [dim]quorate queue update mail --rate 100/m --key-max-running 2[/dim]
    """
    wanted = queue_pb2.Queue(name=queue)
    fields = o.queue_limits(
        *(wanted, max_running, rate, burst, key_max_running, key_rate, key_burst, max_length),
        when_full or "",
    )
    fields += o.queue_order(wanted, aging, weight, share)
    fields += o.queue_place(wanted, spread, filters, score)
    fields += o.queue_events(wanted, events)
    if placement is not None:
        wanted.placement = getattr(queue_pb2, f"PLACEMENT_STRATEGY_{placement.name}")
        fields.append("placement")
    if disconnect is not None:
        wanted.disconnect = getattr(queue_pb2, f"DISCONNECT_POLICY_{disconnect.name}")
        fields.append("disconnect")
    if keep_age is not None:
        wanted.retention.age.FromNanoseconds(int(keep_age * 1e9))
        fields.append("retention.age")
    if keep_count is not None:
        wanted.retention.count = keep_count
        fields.append("retention.count")
    if not fields:
        raise typer.BadParameter("nothing to change; give a setting, such as --max-running 10")
    request = scheduler_pb2.UpdateQueueRequest(queue=wanted, request_id=new_request_id())
    request.update_mask.paths.extend(fields)
    client.calls.call(UPDATE_QUEUE, request)
    sys.stdout.write(f"{queue} changed\n")


@group.command("pause")
@with_client
def pause(
    client: Client,
    queue: Name,
    reason: Annotated[str, typer.Option(help="Reason, for people. \\[default: none]")] = "",
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for",
            metavar="SECONDS",
            help="Time until the queue is resumed by itself, in seconds. \\[default: none]",
        ),
    ] = None,
    scope: Annotated[
        PauseScope,
        typer.Option(
            help="What stops: dispatch (no task starts), admission (no new task is accepted), or "
            "both."
        ),
    ] = PauseScope.DISPATCH,
) -> None:
    """Pause a queue. By default its waiting tasks do not start, and it still accepts new tasks.

    Running tasks always go on.
    """
    request = scheduler_pb2.PauseQueueRequest(
        name=queue,
        request_id=new_request_id(),
        reason=reason,
        scope=f"PAUSE_SCOPE_{scope.value.upper()}",
    )
    if seconds is not None:
        request.until.FromNanoseconds(round((time.time() + seconds) * 1e9))
    paused = client.calls.call(PAUSE_QUEUE, request).queue
    until = f" until {render.zoned(paused.pause.until)}" if paused.pause.HasField("until") else ""
    sys.stdout.write(f"{queue} paused{until}\n")


@group.command("resume")
@with_client
def resume(client: Client, queue: Name) -> None:
    """Resume a paused queue."""
    request = scheduler_pb2.ResumeQueueRequest(name=queue, request_id=new_request_id())
    client.calls.call(RESUME_QUEUE, request)
    sys.stdout.write(f"{queue} resumed\n")


@group.command("delete")
@with_client
def delete(client: Client, queue: Name) -> None:
    """Delete an empty queue: one without tasks, also finished ones."""
    request = scheduler_pb2.DeleteQueueRequest(name=queue, request_id=new_request_id())
    client.calls.call(DELETE_QUEUE, request)
    sys.stdout.write(f"{queue} deleted\n")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("queues")(queues)
    app.add_typer(group, name="queue")
