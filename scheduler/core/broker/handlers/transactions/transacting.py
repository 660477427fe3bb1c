"""Publish and settle in one commit: all of it, or nothing.

    known already (request id, or numbers of the producer) --------------------> the same answer
    checked --(bodies of dead letters are not in memory)--> loaded, kept, then again
      |  '--(anything is wrong, or does not fit)--> a typed error; nothing has changed
      '--> one commit: copies, settlements, numbers of the producer ----> answered once durable

So a program that consumes, transforms and produces has the effect of each message once, if it
repeats a transaction whose answer it did not get: with the request id, or with the same numbers of
its producer. What the next leader finds on record is the whole of it or nothing.

A transaction that is refused has done nothing, and its numbers are not settled: repeated, it is
looked at again. That it was refused is on record, for the numbers of a later one may be settled
before it is repeated: then it is not done any more, and has the code and the reason of the first
answer. So is a transaction that comes first, or again, when higher numbers of its producer are
settled: it has the reason NUMBER_SKIPPED, and nothing of it was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.runtime.errors import ETCD_SPACE_LOW, QuorateError, exhausted, precondition
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import PublishAnswer, ResultKind
from scheduler.core.broker.consuming.sessions import Session
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.consuming import records
from scheduler.core.broker.handlers.dead_letters import put, tasks_of
from scheduler.core.broker.handlers.placing import Placing
from scheduler.core.broker.handlers.publishing import producers, rejections, turns
from scheduler.core.broker.handlers.publishing.plans import Plan, place, plan_publications
from scheduler.core.broker.handlers.transactions import bounds, settlements
from scheduler.core.broker.handlers.transactions.settlements import Bodies, Place, Settlement
from scheduler.core.broker.intake import Prepared
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import ProducerRow
from scheduler.core.broker.state import BrokerState, Space

# Of a call that is known by its request id: all of it.
_WHOLE = 1


class TransactionResumed(NamedTuple):
    """A transaction whose turn has come, or for which a body was loaded. `bodies`: of dead letters,
    those that were in memory by now."""

    event: e.Transacted
    bodies: Bodies


def on_transacted(
    state: BrokerState, limits: BrokerLimits, event: e.Transacted, now: float, out: BrokerEffects
) -> None:
    asked = TransactionResumed(event, {})
    if turns.waits(state, event.producer, asked):
        return
    if not _done(state, limits, asked, now, out):
        turns.hold(state, event.producer)


def on_transaction_resumed(
    state: BrokerState,
    limits: BrokerLimits,
    event: TransactionResumed,
    now: float,
    out: BrokerEffects,
) -> None:
    asked = event.event
    # A caller that is gone does not learn what becomes of it: nothing is loaded for it any more.
    if asked.token.done() or _done(state, limits, event, now, out):
        turns.go_on(state, asked.producer, out)


def _done(
    state: BrokerState,
    limits: BrokerLimits,
    asked: TransactionResumed,
    now: float,
    out: BrokerEffects,
) -> bool:
    """Do it, or answer why not; False: bodies are being loaded."""
    event = asked.event
    try:
        return _transact(state, limits, asked, now, out)
    except QuorateError as error:
        _note(state, limits, event, error, now, out)
        out.after.append(fx.Reply(event.token, error))
        return True


def _transact(
    state: BrokerState,
    limits: BrokerLimits,
    asked: TransactionResumed,
    now: float,
    out: BrokerEffects,
) -> bool:
    """Do all of it in this step; False: bodies are being loaded, and nothing was done.

    Raises QuorateError: nothing has changed.
    """
    event, bodies = asked
    state.router.host(event.virtual_host)
    if _is_repeated(state, event):
        out.after.append(fx.Reply(event.token, PublishAnswer()))
        return True
    if state.space is Space.NONE:
        # Deletions would go ahead of the puts: in two commits.
        raise exhausted(ETCD_SPACE_LOW, "etcd has no space; settle deliveries one by one")
    settled: list[Settlement] = []
    if event.settles:
        settled = settlements.checked(state, _session(state, event), event.settles)
    bounds.check_messages(len(event.publications) + settlements.dead_letters(settled))
    weight = bounds.Weight()
    settlements.weigh(settled, weight)
    weight.check(limits)
    if _load(state, asked, settlements.collect(state, settled, bodies, limits, now), out):
        return False
    plan = _planned(state, limits, event, now)
    letters = settlements.letters(state, settled, bodies, now)
    for one in plan.copies:
        weight.add([(state.queues[uid], copy) for uid, copy in one.copies], now)
    placing = Placing(limits, state.bodies)
    for letter in letters:
        weight.add(letter.copies, now)
        weight.create(tasks_of(state, letter, placing, now).tasks)
    tasks = _tasks(state, plan, event.caller, now)
    weight.create(tasks)
    weight.check(limits)
    # Nothing is refused from here on.
    place(state, plan, placing, now, whole=True)
    placing.create(state, tasks, event.caller, now)
    for letter in letters:
        # Again: there is less room for tasks with each of them.
        put(state, letter, tasks_of(state, letter, placing, now), placing, now)
    placing.flush(out)
    for settlement in settled:
        settlements.settle(state, limits, settlement, now, out)
    _remember(state, limits, event, now, out)
    out.after += plan.replies
    out.after.append(fx.Reply(event.token, PublishAnswer()))
    return True


def _note(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.Transacted,
    error: QuorateError,
    now: float,
    out: BrokerEffects,
) -> None:
    """That its numbers were refused goes on record, unless some of them were settled before."""
    numbers = _numbers(event)
    known = state.producers.get(event.producer)
    settled = 0 if known is None else known.number
    if not event.producer or not numbers or min(numbers) <= settled:
        return
    found = [rejections.refused(number, ResultKind.REJECTED, error) for number in sorted(numbers)]
    row = known or rejections.unknown(event.producer, numbers, now)
    runs = rejections.noted(row, numbers, found, settles=False)
    row = row._replace(refused=runs, instant=now)
    if state.space is not Space.NONE:
        producers.remember(state, limits, row, now, out)
    elif known is not None or len(state.producers) < limits.producers:
        # It goes on record with the number that is settled next: before that, it says nothing.
        producers.hold(state, limits, row)


def _numbers(event: e.Transacted) -> list[int]:
    return list(dict.fromkeys([one.number for one in event.publications if one.number]))


def _is_repeated(state: BrokerState, event: e.Transacted) -> bool:
    """Whether it is done already. Raises INVALID_ARGUMENT for a request id of another call;
    FAILED_PRECONDITION if only some of its numbers are settled; and why it was refused, if others
    were settled afterwards."""
    known = state.producers.get(event.request) if event.request else None
    if known is not None:
        producers.check_same(known, event.digest)
        return True
    producer = state.producers.get(event.producer) if event.producer else None
    settled = 0 if producer is None else producer.number
    numbers = _numbers(event)
    if producer is None or not numbers or min(numbers) > settled:
        return False
    if max(numbers) > settled:
        position = next(n for n, one in enumerate(event.publications) if one.number > settled)
        error = precondition(
            "NUMBERS_SETTLED",
            f"is {event.publications[position].number}, and others of the transaction are not "
            f"above {settled}, up to which the producer's are settled; all have to be new, or all "
            "repeated",
            settled=settled,
        )
        raise _at(error, f"publications[{position}].number")
    for number in numbers:
        found = rejections.find(producer, number)
        if isinstance(found, QuorateError):
            raise found
        if found is not None:
            raise rejections.error_of(found, "transaction", number)
    return True


def _session(state: BrokerState, event: e.Transacted) -> Session:
    """The session whose deliveries are settled. Raises NOT_FOUND, FAILED_PRECONDITION."""
    session = records.session_of(state, event.session)
    row = session.row
    if row.caller != event.caller:
        error = precondition(
            "SESSION_OF_ANOTHER", "belongs to another caller; name a session of your own"
        )
        raise _at(error, "session")
    if row.virtual_host != event.virtual_host:
        error = precondition(
            "SESSION_DIFFERS",
            f"is {event.virtual_host!r}; session {event.session!r} is of {row.virtual_host!r}",
        )
        raise _at(error, "virtual_host")
    return session


def _load(
    state: BrokerState, asked: TransactionResumed, missing: Sequence[Place], out: BrokerEffects
) -> bool:
    """Have chunks loaded; False: there are none. The first one brings the transaction back, which
    keeps what is there then, and looks for the others again."""
    if not missing:
        return False
    queue, chunk = missing[0]
    if not state.load(queue, chunk, out, asked, bounded=True):
        raise exhausted(
            "TOO_MANY_READERS",
            f"too many calls wait for the same messages of {queue.row.name!r}; try again",
            message_queue=queue.row.name,
        )
    for queue, chunk in missing[1:]:
        state.load(queue, chunk, out)
    return True


def _planned(state: BrokerState, limits: BrokerLimits, event: e.Transacted, now: float) -> Plan:
    """Where the publications go. Raises what is wrong with the first one that cannot be queued as
    asked: malformed, refused by a queue, or mandatory and without a route."""
    plan = plan_publications(state, limits, event.virtual_host, event.publications, now)
    for result in plan.results:
        raise _at(result.error, f"publications[{result.position}]")
    return plan


def _tasks(state: BrokerState, plan: Plan, creator: str, now: float) -> list[Prepared]:
    """The tasks that its messages become. Raises what forbids one of them."""
    asked = [ask for one in plan.copies for ask in one.asked]
    return state.tasks.prepare(asked, creator, now) if asked else []


def _at(error: QuorateError, field: str) -> QuorateError:
    """An error that names what in the request it is about."""
    sentence = error.message
    if error.field:
        sentence = sentence.removeprefix(f"{error.field}: ")
        field = f"{field}.message.{error.field}"
    metadata = {**error.metadata, "field": field}
    return QuorateError(
        error.code, error.reason, f"{field}: {sentence}", field=field, metadata=metadata
    )


def _remember(
    state: BrokerState, limits: BrokerLimits, event: e.Transacted, now: float, out: BrokerEffects
) -> None:
    """That it is done goes on record with it."""
    numbers = _numbers(event)
    if event.producer and numbers:
        known = state.producers.get(event.producer)
        known = known or rejections.unknown(event.producer, numbers, now)
        runs = rejections.noted(known, numbers, ())
        row = ProducerRow(event.producer, max(numbers), now, b"", runs, known.forgotten)
        producers.remember(state, limits, row, now, out)
    if event.request:
        row = ProducerRow(event.request, _WHOLE, now, event.digest)
        producers.remember(state, limits, row, now, out)
