"""The methods of `AsyncClient` that are about many tasks at once. The twin of `many`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Unpack

from quorate.client.ahandle import AsyncTaskHandle
from quorate.client.mapping import abulk
from quorate.client.mapping.bulk import CANCEL, DELETE, RETRY, UPDATE
from quorate.client.mapping.counts import Cancelled, Deleted, Retried, Updated
from quorate.client.pages import apages
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.rpcs import LIST_DEAD_LETTERS
from quorate.client.work.texts import text_of
from quorate.client.work.updates import UpdateArgs, update_of
from quorate.v1 import dead_letter_pb2, scheduler_pb2


class AsyncManyTasks:
    """Tasks by their handles or ids, or all that a filter finds."""

    _calls: AsyncCalls

    async def cancel_tasks(
        self,
        tasks: Iterable[AsyncTaskHandle[Any] | str] | None = None,
        *,
        queue: str = "",
        states: Sequence[str] = (),
        text: str = "",
        dry_run: bool = False,
    ) -> Cancelled:
        """As `Client.cancel_tasks`."""
        requests = CANCEL.requests(tasks, queue=queue, states=states, text=text, dry_run=dry_run)
        return await abulk.make(self._calls, CANCEL, requests)

    async def retry_tasks(
        self,
        tasks: Iterable[AsyncTaskHandle[Any] | str] | None = None,
        *,
        queue: str = "",
        states: Sequence[str] = (),
        text: str = "",
        error_group: str = "",
        rate: float = 0.0,
        dry_run: bool = False,
    ) -> Retried:
        """As `Client.retry_tasks`."""
        requests = RETRY.requests(
            tasks,
            queue=queue,
            states=states,
            text=text,
            dry_run=dry_run,
            max_rate=rate,
            error_group=error_group,
        )
        return await abulk.make(self._calls, RETRY, requests)

    async def update_tasks(
        self,
        tasks: Iterable[AsyncTaskHandle[Any] | str] | None = None,
        *,
        queue: str = "",
        states: Sequence[str] = (),
        text: str = "",
        dry_run: bool = False,
        **changes: Unpack[UpdateArgs],
    ) -> Updated:
        """As `Client.update_tasks`."""
        requests = UPDATE.requests(
            tasks, queue=queue, states=states, text=text, dry_run=dry_run, **update_of(changes)
        )
        return await abulk.make(self._calls, UPDATE, requests)

    async def delete_tasks(
        self,
        tasks: Iterable[AsyncTaskHandle[Any] | str] | None = None,
        *,
        queue: str = "",
        states: Sequence[str] = (),
        text: str = "",
        error_group: str = "",
        dry_run: bool = False,
    ) -> Deleted:
        """As `Client.delete_tasks`."""
        requests = DELETE.requests(
            tasks, queue=queue, states=states, text=text, dry_run=dry_run, error_group=error_group
        )
        return await abulk.make(self._calls, DELETE, requests)

    async def dead_letters(
        self, *, queue: str = ""
    ) -> AsyncIterator[dead_letter_pb2.DeadLetterGroup]:
        """As `Client.dead_letters`."""
        request = scheduler_pb2.ListDeadLettersRequest(queue=text_of("queue", queue))
        async for answer in apages(self._calls, LIST_DEAD_LETTERS, request):
            for group in answer.groups:
                yield group
