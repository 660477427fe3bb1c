"""`quorate explain`: why a task waits, where it runs, or how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import typer
from rich.text import Text

from quorate.cli.common import Json, with_client
from quorate.cli.hints import command
from quorate.cli.output import render
from quorate.cli.output.listing import one_line
from quorate.cli.output.render import hint
from quorate.cli.tasks.ids import WHICH, task_id
from quorate.client.client import Client
from quorate.runtime.sizes import plural
from quorate.v1 import explain_pb2, task_pb2

# Why a node cannot take the task however long that waits.
_NEVER: Final = frozenset(
    (
        explain_pb2.NODE_FILTER_CPU,
        explain_pb2.NODE_FILTER_MEMORY,
        explain_pb2.NODE_FILTER_COUNTER,
        explain_pb2.NODE_FILTER_LABELS,
        explain_pb2.NODE_FILTER_TAINT,
    )
)
# The cluster names so many tasks for which one waits.
_MOST_NAMED: Final = 5


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
    never = _fits_no_node(found)
    for line in _lines(found, never=never):
        render.say(line)
    if found.nodes_question:
        render.show("")
        render.say(found.nodes_question)
        render.show(_nodes(found))
        if found.nodes_total > len(found.nodes):
            hint(f"and {plural(found.nodes_total - len(found.nodes), 'more node')}")
    if found.task.attempts:
        render.show("")
        render.show(_attempts(found.task))
    if never:
        cancel = command(f"cancel {found.task.id}")
        hint(f"\nAdd a node that the task fits, or cancel the task: {cancel}")


def _fits_no_node(found: explain_pb2.Explanation) -> bool:
    """Whether only another node helps: each is too small, or has other labels or a taint."""
    fits_none = explain_pb2.EXPLAIN_REASON_NO_NODE_FITS
    return any(one.reason == fits_none for one in found.reasons) and all(
        node.filter in _NEVER for node in found.nodes
    )


def _lines(found: explain_pb2.Explanation, *, never: bool) -> Iterator[str]:
    """The reasons, the answer first, and the position; without that where no node takes it."""
    for number, reason in enumerate(found.reasons):
        words = _with_tasks(reason.sentence if number else found.sentence, reason)
        if number == 0:
            yield words[:1].upper() + words[1:]
        elif not (never and reason.reason == explain_pb2.EXPLAIN_REASON_TURN):
            yield f"Also {words}" if words.startswith("waits ") else f"Also: {words}"
    if found.HasField("place") and not never:
        yield found.place.sentence


def _with_tasks(sentence: str, reason: explain_pb2.ExplanationReason) -> str:
    """The sentence with the tasks for which it says that the task waits."""
    ids = [one for one in reason.holders if one not in sentence]
    if not ids:
        return sentence
    such = " such as" if len(ids) == _MOST_NAMED else ""
    tasks = f"{'task' if len(ids) == 1 else 'tasks'}{such} {', '.join(ids)}"
    if reason.reason == explain_pb2.EXPLAIN_REASON_LIMIT:
        return f"{sentence}, by {tasks}"
    return f"{sentence} ({tasks})"


def _nodes(found: explain_pb2.Explanation) -> object:
    """What each node says; its name is in the first column only."""
    table = render.table("NODE", "ANSWER", "REASON", elastic=("REASON",), wrapped=("REASON",))
    for node in found.nodes:
        answer = "yes" if node.filter == explain_pb2.NODE_FILTER_NONE else "no"
        table.add_row(node.node, answer, Text(node.sentence.removeprefix(f"node {node.node} ")))
    return table


def _attempts(task: task_pb2.Task) -> object:
    table = render.table(
        *("ATTEMPT", "NODE", "STARTED", "ENDED", "ERROR"),
        right=("ATTEMPT",),
        # Without the year.
        short=dict.fromkeys(("STARTED", "ENDED"), lambda text: text[5:] or text),
        elastic=("ERROR",),
        wrapped=("ERROR",),
        drop=("STARTED", "NODE", "ENDED"),
    )
    for attempt in task.attempts:
        error = attempt.error
        table.add_row(
            str(attempt.number),
            attempt.node or "-",
            render.moment(attempt.start_time) if render.began(attempt) else "-",
            render.moment(attempt.finish_time),
            Text(one_line(f"{error.type}: {error.message}".rstrip(": ")) or "-"),
        )
    return table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain)
