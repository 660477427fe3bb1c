"""`quorate explain`: why a task waits, where it runs, or how it ended."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.text import Text

from quorate.cli.common import Json, with_client
from quorate.cli.output import render
from quorate.cli.output.listing import one_line
from quorate.cli.tasks.ids import WHICH, task_id
from quorate.client.client import Client
from quorate.runtime.sizes import plural
from quorate.v1 import explain_pb2, task_pb2


@with_client
def explain(
    client: Client,
    id: Annotated[str, typer.Argument(metavar="ID", help=f"Id of a task: {WHICH}.")],
    as_json: Json = False,
) -> None:
    """Explain a task: why it waits, where it runs, or how and why it ended.

    The first line is the answer. Behind it are further reasons, the task's place in the order of
    its queue, what each node says, and its attempts, as far as there are any.
    """
    found = client.get(task_id(client, id)).explain()
    if as_json:
        render.print_json(render.as_dict(found))
        return
    lines = [_sentence(found.sentence)]
    lines += [f"Also: {reason.sentence}" for reason in found.reasons[1:]]
    for reason in found.reasons:
        if reason.holders:
            lines.append(f"Held by: {', '.join(reason.holders)}")
    if found.HasField("place"):
        lines.append(_place(found.place))
    sys.stdout.write("\n".join(lines) + "\n")
    if _tells_more(found):
        table = render.table("NODE", "RULE", "WHY", elastic=("WHY",))
        for node in found.nodes:
            word = explain_pb2.NodeFilter.Name(node.filter).removeprefix("NODE_FILTER_")
            table.add_row(node.node, word, Text(node.sentence))
        render.show(table)
        if found.nodes_total > len(found.nodes):
            render.hint(f"and {plural(found.nodes_total - len(found.nodes), 'more node')}")
    if found.task.attempts:
        render.show(_attempts(found.task))


def _tells_more(found: explain_pb2.Explanation) -> bool:
    """Whether the nodes say what the reasons do not: a reason has the words of a single node."""
    if not found.nodes or found.reasons[0].reason == explain_pb2.EXPLAIN_REASON_QUEUE_PAUSED:
        return False
    said = [found.sentence, *(reason.sentence for reason in found.reasons)]
    return found.nodes_total > 1 or not any(found.nodes[0].sentence in one for one in said)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _place(place: explain_pb2.ExplanationPlace) -> str:
    about = "" if place.exact else "about "
    words = f"Place: {about}{place.ahead + 1:,} among tasks with the same needs and limits"
    others = []
    if place.higher_priority:
        others.append(f"{plural(place.higher_priority, 'task')} with a higher priority")
    if place.other_lanes:
        others.append(f"{plural(place.other_lanes, 'task')} with other needs or limits")
    return f"{words}. Also waiting: {', '.join(others)}" if others else words


def _attempts(task: task_pb2.Task) -> object:
    table = render.table("ATTEMPT", "NODE", "STARTED", "ENDED", "ERROR", elastic=("ERROR",))
    for attempt in task.attempts:
        error = attempt.error
        table.add_row(
            str(attempt.number),
            attempt.node or "-",
            render.moment(attempt.start_time),
            render.moment(attempt.finish_time),
            Text(one_line(f"{error.type}: {error.message}".rstrip(": ")) or "-"),
        )
    return table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain)
