"""Messages about the ends of tasks and jobs, on their way into the Txn of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.batch import weigh
from quorate.etcd.journal.joined import Addition
from scheduler.core.broker import events as e
from scheduler.core.jobs.ended import publication
from scheduler.core.model.effects import Effects
from scheduler.core.model.effects.ended import Ended
from scheduler.engine.broker.ports import EncodedStep
from scheduler.engine.write_group import Beside


def by_virtual_host(announced: Sequence[Ended]) -> Iterator[tuple[str, list[e.Publication]]]:
    """The messages of each virtual host."""
    found: dict[str, list[e.Publication]] = {}
    for ended in announced:
        found.setdefault(ended.to.virtual_host, []).append(publication(ended))
    yield from found.items()


def beside(
    steps: Sequence[EncodedStep], tasks: Sequence[Put | Delete], made: Effects | None
) -> Beside | None:
    """All that they write, with the tasks that they became; None for nothing."""
    ops: list[Put | Delete] = [write for step in steps for write in step.writes]
    additions: list[Addition] = [one for step in steps for one in step.additions]
    weight = sum([step.weight for step in steps]) + weigh(tasks)
    ops += tasks
    return Beside(ops, additions, weight, made) if ops or additions else None
