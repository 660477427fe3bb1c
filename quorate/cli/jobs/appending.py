"""`quorate job append`: items for an open job, sent while they are read.

What has been read while the last call was under way goes into the next one: a slow source is sent
line by line, a fast one in large parts. No more than `_MOST_BYTES` and a line wait. Each call has
the position of its first item, so that its repeat after a failover adds nothing twice.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Final

import grpc
import typer

from quorate.cli.common import Json
from quorate.cli.exits import OK
from quorate.cli.graphs.show import is_graph
from quorate.cli.hints import command
from quorate.cli.inputs import item
from quorate.cli.jobs.creating import lines_of
from quorate.cli.jobs.ids import Id, job_id
from quorate.cli.output.render import hint, print_json
from quorate.client.client import Client
from quorate.client.jobs.create import append as append_items
from quorate.client.jobs.specs import encoder_of
from quorate.client.transport.rpcs import new_request_id
from quorate.client.work.specs import GREATEST_PAYLOAD_LIMIT
from quorate.runtime.errors import QuorateError, invalid, precondition
from quorate.runtime.sizes import plural
from quorate.v1 import job_pb2

# What is read ahead, in characters.
_MOST_BYTES: Final = 4 * 1024 * 1024


def append(
    client: Client,
    id: Id,
    items: Annotated[
        list[str] | None, typer.Argument(metavar="ITEM", help="Items.", show_default=False)
    ] = None,
    each_line: Annotated[
        str,
        typer.Option(
            "--each-line",
            metavar="FILE",
            help="Each line of a file is an item; '-' is standard input, whose lines are sent at "
            "once.",
            show_default=False,
        ),
    ] = "",
    json_items: Annotated[
        bool, typer.Option("--json-items", help="Read each item as a JSON value, not as a string.")
    ] = False,
    first_position: Annotated[
        int | None,
        typer.Option(
            "--first-position",
            metavar="N",
            min=0,
            help="How many items the job had before the first of these. Those that it has already "
            "are left out, so the same command can be repeated. \\[default: those that it has now]",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Append items to an open job; each becomes a subtask. Prints how many items the job has then.

    [dim]quorate job append ID red green[/dim]

    [dim]tail -f urls | quorate job append ID --each-line -[/dim]

    Several programs may append to a job at the same time, without --first-position.
    """
    if bool(items) == bool(each_line):
        raise invalid("--each-line", "give either items or --each-line")
    source: Iterable[str] = items or lines_of(each_line)
    handle = client.job(job_id(client, id))
    job = handle.job()
    if is_graph(job):
        raise precondition("NOT_AN_ARRAY", f"job {job.id} is a graph; only arrays take items")
    # At a position that was given only these items are right.
    appender = new_request_id() if first_position is None else ""
    lines = _read(source, first_position, job)
    # Items that were typed are all sent, or none of them.
    batches = iter([list(lines)]) if items else iter(_Arrivals(lines).take, [])
    count = _sent(client, job, batches, appender, json_items=json_items, whole=bool(items))
    if as_json:
        print_json({"id": job.id, "count": count})
    else:
        sys.stdout.write(f"{job.id} has {plural(count, 'item')}\n")
    return OK


def _read(source: Iterable[str], first: int | None, job: job_pb2.Job) -> Iterator[str]:
    """The lines that the job does not have yet."""
    there = job.count if first is None else job.count - first
    if there < 0:
        raise QuorateError(
            grpc.StatusCode.OUT_OF_RANGE,
            "ITEMS_MISSING",
            f"--first-position: {first} leaves a gap: job {job.id} has {plural(job.count, 'item')}",
            field="first_position",
        )
    lines = iter(source)
    if first is not None:
        for _ in zip(range(there), lines, strict=False):
            pass
    return lines


def _sent(
    client: Client,
    job: job_pb2.Job,
    batches: Iterator[list[str]],
    appender: str,
    *,
    json_items: bool,
    whole: bool,
) -> int:
    """Append all lines; how many items the job has then.

    Args:
        whole: nothing of a batch is sent if one of its lines cannot be.
    """
    encode = encoder_of(job.spec.template, GREATEST_PAYLOAD_LIMIT)
    count, sent, together = job.count, 0, True
    try:
        for batch in batches:
            found, failure = _sound(batch, count, encode, json_items=json_items)
            if found and not (whole and failure):
                before = count
                count = append_items(client.calls, job.id, found, _encoded, before, appender)
                sent += len(found)
                together = together and count == before + len(found)
            if failure is not None:
                raise failure
    except BaseException:
        if sent:
            done = f"{plural(sent, 'item')} of these were appended"
            again = command(f"job append {job.id} --first-position {job.count} ...")
            hint(f"{done}. Go on with: {again}" if together else f"{done}, the first ones.")
        raise
    return count


def _sound(
    batch: Sequence[str], count: int, encode: Callable[[Any, int], bytes], *, json_items: bool
) -> tuple[list[bytes], Exception | None]:
    """The encoded items before the first one that cannot be sent, and what is wrong with that one.

    They are sent however many lines were read at once.
    """
    found: list[bytes] = []
    for position, line in enumerate(batch, count):
        try:
            # JSON items are counted from 1.
            value = item(line, position + 1) if json_items else line
            found.append(encode(value, position))
        except Exception as error:  # noqa: BLE001 - raised once the others are sent
            return found, error
    return found, None


def _encoded(item: bytes, position: int) -> bytes:
    return item


class _Arrivals:
    """Lines, read by a thread of their own while others are sent."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._changed = threading.Condition()
        self._waiting: list[str] = []
        self._size = 0
        self._over = False
        self._failure: Exception | None = None
        # A daemon: it may be in a read that nobody ends.
        threading.Thread(target=self._read, name="items", daemon=True).start()

    def take(self) -> list[str]:
        """What has come since the last call, at least one line; empty at the end.

        Raises what reading raised, behind the lines before it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._over)
            taken, self._waiting, self._size = self._waiting, [], 0
            self._changed.notify_all()
            if not taken and self._failure is not None:
                raise self._failure
            return taken

    def _read(self) -> None:
        try:
            for line in self._lines:
                with self._changed:
                    self._changed.wait_for(lambda: self._size < _MOST_BYTES)
                    self._waiting.append(line)
                    self._size += len(line) + 1
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - the thread that takes lines raises it
            self._failure = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
