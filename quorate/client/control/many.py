"""The methods of `Client` that are about many tasks at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from quorate.client.handle import TaskHandle
from quorate.client.mapping.bulk import CANCEL, DELETE, RETRY
from quorate.client.mapping.counts import Cancelled, Deleted, Retried
from quorate.client.transport.calls import Calls


class ManyTasks:
    """Tasks by their handles or ids, or all that a filter finds."""

    @property
    @abstractmethod
    def calls(self) -> Calls:
        """The transport."""

    def cancel_tasks(
        self,
        tasks: Iterable[TaskHandle[Any] | str] | None = None,
        *,
        queue: str = "",
        states: Sequence[str] = (),
        text: str = "",
        dry_run: bool = False,
    ) -> Cancelled:
        """Cancel many tasks by few calls: waiting ones at once, running attempts are ended first.

        What is finished or unknown is counted and is no error.

        Args:
            tasks: handles or ids, any number; without them the filter says which are meant.
            queue, text: as `tasks` has them. Tasks created after this call began are left out.
            states: only in these, such as "pending"; of `tasks` too. Any that is not finished when
                empty.
            dry_run: count, and change nothing.

        Raises QuorateError: INVALID_ARGUMENT where both or neither are given.
        """
        return CANCEL.make(
            self.calls,
            CANCEL.requests(tasks, queue=queue, states=states, text=text, dry_run=dry_run),
        )

    def retry_tasks(
        self,
        tasks: Iterable[TaskHandle[Any] | str] | None = None,
        *,
        queue: str = "",
        states: Sequence[str] = (),
        text: str = "",
        rate: float = 0.0,
        dry_run: bool = False,
    ) -> Retried:
        """Retry many finished tasks by few calls, with fresh attempts; their past ones stay.

        What cannot be retried is counted and is no error.

        Args:
            tasks, queue, text, dry_run: as of `cancel_tasks`.
            states: only in these: "failed" or "cancelled". When empty, a filter finds failed tasks,
                and of `tasks` both are retried.
            rate: tasks a second that may start; 0: all at once. The others are SCHEDULED meanwhile.

        Raises QuorateError: INVALID_ARGUMENT where both or neither are given.
        """
        requests = RETRY.requests(
            tasks, queue=queue, states=states, text=text, dry_run=dry_run, max_rate=rate
        )
        return RETRY.make(self.calls, requests)

    def delete_tasks(
        self,
        tasks: Iterable[TaskHandle[Any] | str] | None = None,
        *,
        queue: str = "",
        states: Sequence[str] = (),
        text: str = "",
        dry_run: bool = False,
    ) -> Deleted:
        """Delete the records of many finished tasks by few calls, with their results and errors.

        What is not finished or unknown is counted and is no error.

        Args:
            tasks, queue, text, dry_run: as of `cancel_tasks`.
            states: only in these, such as "failed"; in any finished state when empty.

        Raises QuorateError: INVALID_ARGUMENT where both or neither are given.
        """
        return DELETE.make(
            self.calls,
            DELETE.requests(tasks, queue=queue, states=states, text=text, dry_run=dry_run),
        )
