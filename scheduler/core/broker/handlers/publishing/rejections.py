"""Publications of a producer that are in no queue: which numbers, and why.

They are on record with how far the producer is, so a repetition gets the kind, the code and the
reason of the first answer, from the next leader, too.

    number > `row.number`   not settled: the publication is stepped as a new one
    in `row.refused`        returned or rejected again
    <= `row.forgotten`      rejected with OUTCOME_FORGOTTEN: it may be in its queues or not
    otherwise               confirmed again: it is in its queues

Bounds: a producer has `MOST_RUNS` runs, all of them of its last `WINDOW` numbers. That is enough
for the last 1,000 messages, whatever became of each: as many as a producer of the SDK has under way
by default. All producers together have `BrokerLimits.refused_runs`; beyond that, a producer keeps
its latest run alone. The lowest numbers are forgotten first. What is forgotten is never confirmed:
a program may publish such a message again, and have it twice, but does not lose it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from quorate.runtime.errors import QuorateError, not_found, of_code, precondition
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import PublishResult, ResultKind
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import ProducerRow, Refused
from scheduler.core.broker.state import BrokerState

# Alternately queued and refused, 1,024 publications have so many.
MOST_RUNS: Final = 512
# As many messages as a producer of the SDK has under way at most.
WINDOW: Final = 100_000


def refused(number: int, kind: ResultKind, error: QuorateError) -> Refused:
    """A publication that is in no queue, for the record."""
    returned = kind is ResultKind.RETURNED
    return Refused(number, number, returned, int(error.code.value[0]), error.reason)


def joined(runs: Iterable[Refused]) -> tuple[Refused, ...]:
    """Runs in ascending order; those next to each other that say the same are one. Of what is said
    twice of a number, the first holds."""
    found: list[Refused] = []
    for run in runs:
        last = found[-1] if found else None
        if last is not None and run.first <= last.last:
            if run.last <= last.last:
                continue
            run = run._replace(first=last.last + 1)
        if last is not None and run.first == last.last + 1 and run[2:] == last[2:]:
            found[-1] = last._replace(last=run.last)
        else:
            found.append(run)
    return tuple(found)


def noted(
    known: ProducerRow | None, numbers: Sequence[int], new: Sequence[Refused]
) -> tuple[Refused, ...]:
    """What is on record after an event.

    Args:
        known: before it.
        numbers: those of the event that were not settled; `new`: of those, the refused ones.
    """
    runs: Iterable[Refused] = () if known is None else known.refused
    if known is not None:
        # Of an event that is done in parts, some may be settled by now.
        numbers = [number for number in numbers if number > known.number]
        new = [run for run in new if run.last > known.number]
        if known.refused and known.refused[-1].last > known.number:
            # Refused before without being settled: they are something else now.
            runs = _without(known.refused, numbers)
    return joined(sorted([*runs, *new])) if new else tuple(runs)


def bounded(state: BrokerState, limits: BrokerLimits, row: ProducerRow) -> ProducerRow:
    """A row with as many runs as it may have."""
    runs = row.refused
    if not runs:
        return row
    most = MOST_RUNS if state.refused_runs < limits.refused_runs else 1
    place = max(0, len(runs) - most)
    while place < len(runs) and runs[place].last <= row.number - WINDOW:
        place += 1
    if not place:
        return row
    forgotten = max(row.forgotten, runs[place - 1].last)
    return row._replace(refused=runs[place:], forgotten=forgotten)


def find(row: ProducerRow, number: int) -> QuorateError | Refused | None:
    """What is on record of a settled number: why it is in no queue; None: it is in its queues. An
    error: that is not known any more."""
    if number <= row.forgotten:
        return precondition(
            "OUTCOME_FORGOTTEN",
            f"what became of number {number} of this producer is not on record any more: it may be "
            "in its message queues, or not",
            value=number,
        )
    for run in row.refused:
        if run.first <= number <= run.last:
            return run
    return None


def again(row: ProducerRow, position: int, one: e.Publication) -> PublishResult | None:
    """The answer to a settled publication that is repeated; None: it is confirmed again."""
    found = find(row, one.number)
    if found is None:
        return None
    if isinstance(found, QuorateError):
        return PublishResult(position, ResultKind.REJECTED, found)
    if found.returned:
        none = not_found("route", one.routing_key.decode(errors="backslashreplace"))
        return PublishResult(position, ResultKind.RETURNED, none)
    return PublishResult(position, ResultKind.REJECTED, error_of(found, "message", one.number))


def error_of(run: Refused, what: str, number: int) -> QuorateError:
    """Why a publication or transaction was rejected before."""
    return of_code(
        run.code,
        run.reason,
        f"the {what} with number {number} was rejected when it came first ({run.reason}): it is in "
        "no message queue",
        value=number,
    )


def _without(runs: Sequence[Refused], numbers: Sequence[int]) -> list[Refused]:
    found: list[Refused] = []
    ordered = sorted(numbers)
    for run in runs:
        bounds = [run.first - 1, *(n for n in ordered if run.first <= n <= run.last), run.last + 1]
        found += [
            run._replace(first=before + 1, last=after - 1)
            for before, after in pairwise(bounds)
            if before + 1 < after
        ]
    return found
