"""What is stepped and not committed is bounded: who may step, who waits, and who is refused.

`Journal.room` is the bound. Past it callers wait in turn, themselves bounded in number, in bytes
and in time, and are then refused: nothing was done. Agents wait as long as it takes; there are as
many of them as there are sessions, each with one message in hand.

While etcd has no space no put commits, however long one waits. New calls are refused at once, and
so is who waits for room or behind a barrier. Callers whose event was stepped already, such as the
one that found out, are answered at once too: that the outcome is unknown. Reads go on: see
`WriteAdmission.readable`.

Owned by the driver of one term.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from quorate.etcd.journal.journal import Journal, OutOfSpace
from quorate.runtime.errors import ETCD_SPACE_LOW, QuorateError, exhausted, leader_lost, unavailable
from scheduler.core.handlers.requests import SCOPES, known_to
from scheduler.core.model.events import Request
from scheduler.core.model.state import State

# Callers that wait for room: how many, what their requests weigh together, and for how long each.
MAX_CALLERS: Final = 10_000
MAX_CALLER_BYTES: Final = 64 << 20
LONGEST_WAIT: Final = 5.0
# What is asked for and not answered, in all. Of a large batch the journal holds one part at a time.
MAX_ASKED_BYTES: Final = 256 << 20
NO_SPACE: Final = "etcd has no space left: nothing can be written until it has"


class WriteAdmission:
    """The way into one journal.

    Args:
        leads: whether this process may dispatch and answer.
        confirm: a fenced read of etcd: it raises QuorateError when this process does not lead.
    """

    def __init__(
        self,
        journal: Journal,
        leads: Callable[[], bool],
        confirm: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        self._journal = journal
        self._leads = leads
        self._callers = 0
        self._caller_bytes = 0
        self._asked_bytes = 0
        # Who waits behind a barrier, each an event of the journal, which bounds them; and callers
        # that wait for their turn.
        self._barriers: dict[asyncio.Future[Any], None] = {}
        # Callers whose event was stepped: no more than wait for the journal.
        self._stepped: dict[asyncio.Future[object], None] = {}
        self._confirm = confirm
        journal.observe_no_space(self.answer_waiting)

    @property
    def bytes(self) -> int:
        """What etcd is going to hold in addition when all is done that was asked for, about."""
        return max(self._journal.pending_bytes, self._asked_bytes)

    async def room(self) -> None:
        """Wait until another event may be stepped, however long.

        Also outside the trust window: what agents report then is acted on once it is open again.

        Raises:
            QuorateError: UNAVAILABLE: this process does not lead any longer.
        """
        try:
            await self._journal.wait_room()
        except Exception as error:
            # Whatever ended the journal, for the caller it is a leader that is gone.
            raise leader_lost() from error

    async def admit(self, weight: int = 0) -> None:
        """Wait until a caller's event may be stepped, for a bounded time.

        Args:
            weight: bytes of what it asks to be kept, as given to `asked`; 0 for little.

        Raises:
            QuorateError: UNAVAILABLE: this process does not lead any longer. RESOURCE_EXHAUSTED:
                too much waits, or etcd has no space.
        """
        self._check()
        if self._journal.no_space:
            raise no_space()
        if weight and self._asked_bytes > MAX_ASKED_BYTES:
            raise _too_much(f"{self._asked_bytes} bytes wait to be written")
        if self._journal.room:
            return
        with self._waiting(weight):
            try:
                async with asyncio.timeout(LONGEST_WAIT):
                    await self._journal.wait_room(while_space=True)
            except TimeoutError:
                raise _too_much(f"the call waited {LONGEST_WAIT:g} s for room") from None
            except OutOfSpace:
                raise no_space() from None
            except Exception as error:
                raise leader_lost() from error

    async def turn(self, turn: asyncio.Future[None], weight: int) -> None:
        """Wait until it is a caller's turn to write so many bytes, however long.

        Raises:
            QuorateError: as `admit`.
        """
        with self._waiting(weight):
            self._barriers[turn] = None
            try:
                await turn
            finally:
                del self._barriers[turn]

    @contextmanager
    def _waiting(self, weight: int) -> Iterator[None]:
        if self._callers >= MAX_CALLERS or self._caller_bytes + weight > MAX_CALLER_BYTES:
            raise _too_much(f"{self._callers} callers wait already")
        self._callers += 1
        self._caller_bytes += weight
        try:
            yield
        finally:
            self._callers -= 1
            self._caller_bytes -= weight

    @contextmanager
    def asked(self, weight: int) -> Iterator[None]:
        """While the block lasts, this much is on its way to the journal or into it."""
        self._asked_bytes += weight
        try:
            yield
        finally:
            self._asked_bytes -= weight

    def refuse_known(self, state: State, request: Request, queue: str) -> None:
        """While etcd has no space: raise for a request that was stepped already.

        It may be among what waits: to call it refused would be wrong.

        Raises:
            QuorateError: UNAVAILABLE: whether it comes to be is not known yet.
        """
        if not self._journal.no_space or not request.id:
            return
        if any(known_to(state, scope, request) for scope in (*SCOPES, queue)):
            raise _unknown()

    async def answer(self, token: asyncio.Future[object]) -> object:
        """Wait for the answer to a call that was stepped.

        Raises:
            QuorateError: UNAVAILABLE: the term ended first, or etcd has no space; the outcome is
                unknown.
        """
        self._stepped[token] = None
        try:
            return await token
        finally:
            del self._stepped[token]

    async def barrier(self, append: Callable[[asyncio.Future[int]], None]) -> int:
        """Wait for a barrier of the journal.

        Args:
            append: appends it, to set what it is given.

        Raises:
            QuorateError: as `admit`.
        """
        await self.admit()
        token: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._barriers[token] = None
        try:
            append(token)
            return await token
        finally:
            del self._barriers[token]

    async def readable(self, barrier: Callable[[], Awaitable[int]]) -> None:
        """Wait until a caller may see what memory says.

        Behind a barrier. While etcd has no space, that is behind puts which cannot commit; then
        behind a fenced read alone. An answer in that time (figures, and settings whose change
        was not answered) may be ahead of the log by what waited when the space ended; tasks are
        read from etcd and never are.

        Raises:
            QuorateError: as `room`, or RESOURCE_EXHAUSTED when too much waits.
        """
        try:
            await barrier()
        except QuorateError as error:
            if error.reason != ETCD_SPACE_LOW or self._confirm is None:
                raise
            await self._confirm()
            self._check()

    def _check(self) -> None:
        if not self._leads():
            raise leader_lost()

    def answer_waiting(self) -> None:
        """etcd has no space: whoever waits is answered now."""
        for token in self._barriers:
            if not token.done():
                token.set_exception(no_space())
        for call in self._stepped:
            if not call.done():
                # It is in memory, and is written once there is space: it was not refused.
                call.set_exception(_unknown())


def no_space() -> QuorateError:
    """What a caller gets while etcd takes no put."""
    return exhausted(ETCD_SPACE_LOW, NO_SPACE)


def _unknown() -> QuorateError:
    return unavailable(
        ETCD_SPACE_LOW,
        "etcd has no space left; the outcome of this call is known once there is space: "
        "repeat it then with the same request_id",
    )


def _too_much(why: str) -> QuorateError:
    return exhausted(
        "WRITE_QUEUE_FULL",
        f"the write queue is full: {why}; try again later",
        limit=MAX_CALLERS,
        limit_bytes=MAX_CALLER_BYTES,
    )
