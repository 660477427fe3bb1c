"""Publications of a producer that are in no queue: which numbers, and why.

They are on record with how far the producer is, so a repetition gets the kind, the code and the
reason of the first answer, from the next leader, too.

    number > `row.number`   not settled: the publication is stepped as a new one
    in `row.refused`        returned or rejected again; or passed over by numbers that were
                            settled after it, and rejected with NUMBER_SKIPPED
    <= `row.forgotten`      rejected with OUTCOME_FORGOTTEN: it may be in its queues or not
    otherwise               confirmed again: it is in its queues

Bounds: a producer has `MOST_RUNS` runs, all of them of its last `WINDOW` numbers. That is enough
for the last 1,000 messages, whatever became of each: as many as a producer of the SDK has under way
by default. All producers together have `BrokerLimits.refused_runs`; beyond that, a producer keeps
its latest run alone. The lowest numbers are forgotten first. What is forgotten is never confirmed:
a program may publish such a message again, and have it twice, but does not lose it. Of a producer
that is not known (any more), all numbers below its first one are forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
# The reason of numbers that were passed over.
SKIPPED: Final = "NUMBER_SKIPPED"
_SKIPPED_CODE: Final = int(precondition(SKIPPED, "").code.value[0])


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


def unknown(key: str, numbers: Iterable[int], now: float) -> ProducerRow:
    """The row of a producer that is not known, before its first event: what became of lower numbers
    than it has nobody knows."""
    return ProducerRow(key, 0, now, forgotten=min(numbers, default=1) - 1)


def noted(
    known: ProducerRow, numbers: Sequence[int], new: Sequence[Refused], *, settles: bool = True
) -> tuple[Refused, ...]:
    """What is on record after an event.

    Args:
        known: before it.
        numbers: those of the event that were not settled; `new`: of those, the refused ones.
        settles: the event settles them; of other numbers below the last of them, none is settled
            any more.
    """
    # Of an event that is done in parts, some may be settled by now.
    numbers = sorted([number for number in numbers if number > known.number])
    if not numbers:
        return known.refused
    found = [run for run in new if run.last > known.number]
    runs: Sequence[Refused] = known.refused
    if runs and runs[-1].last > known.number:
        # Refused before without being settled: they are something else now.
        runs = _without(runs, numbers)
    if settles:
        found += _skipped(max(known.number, known.forgotten), numbers, runs)
    return joined(sorted([*runs, *found])) if found else tuple(runs)


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
    if run.reason == SKIPPED:
        return precondition(
            SKIPPED,
            f"the {what} with number {number} was not done, and is not done now: a higher number "
            "of this producer was settled before it came; send it with a new number",
            value=number,
        )
    return of_code(
        run.code,
        run.reason,
        f"the {what} with number {number} was rejected when it came first ({run.reason}): it is in "
        "no message queue",
        value=number,
    )


def _without(runs: Sequence[Refused], numbers: Sequence[int]) -> list[Refused]:
    """Runs but for these numbers; both ascend."""
    found: list[Refused] = []
    place = 0
    for run in runs:
        first = run.first
        while place < len(numbers) and numbers[place] <= run.last:
            number = numbers[place]
            place += 1
            if number < first:
                continue
            if first < number:
                found.append(run._replace(first=first, last=number - 1))
            first = number + 1
        if first <= run.last:
            found.append(run._replace(first=first))
    return found


def _skipped(settled: int, numbers: Sequence[int], runs: Sequence[Refused]) -> list[Refused]:
    """Numbers above `settled` that are passed over by these, which ascend, and have no run."""
    first, last = numbers[0], numbers[-1]
    if first == settled + 1 and last - first + 1 == len(numbers):
        return []
    spans = [(number, number) for number in numbers]
    spans += [(run.first, run.last) for run in runs if settled < run.last and run.first < last]
    found: list[Refused] = []
    following = settled + 1
    for begin, end in sorted(spans):
        if following < begin:
            found.append(Refused(following, begin - 1, False, _SKIPPED_CODE, SKIPPED))
        following = max(following, end + 1)
    return found
