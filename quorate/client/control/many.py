"""The methods of `Client` that are about many tasks at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Unpack

from quorate.client.handle import TaskHandle
from quorate.client.mapping.bulk import CANCEL, DELETE, RETRY, UPDATE
from quorate.client.mapping.counts import Cancelled, Deleted, Retried, Updated
from quorate.client.pages import pages
from quorate.client.transport.calls import Calls
from quorate.client.transport.rpcs import LIST_DEAD_LETTERS
from quorate.client.work.texts import text_of
from quorate.client.work.updates import UpdateArgs, update_of
from quorate.v1 import dead_letter_pb2, scheduler_pb2


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
            tasks: handles or ids, any number, also of subtasks (`<job>.<index>`); without them the
                filter says which are meant.
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
        error_group: str = "",
        rate: float = 0.0,
        dry_run: bool = False,
    ) -> Retried:
        """Retry many finished tasks by few calls, with fresh attempts; their past ones stay.

        What cannot be retried is counted and is no error.

        Args:
            tasks, queue, text, dry_run: as of `cancel_tasks`.
            states: only in these: "failed", "cancelled" or "expired". When empty, a filter finds
                failed and expired tasks, and of `tasks` all three are retried.
            error_group: tasks of this group of `dead_letters`; a filter by itself.
            rate: tasks a second that may start; 0: all at once. The others are SCHEDULED meanwhile.
                Not with subtasks.

        Raises QuorateError: INVALID_ARGUMENT where both or neither are given.
        """
        requests = RETRY.requests(
            tasks,
            queue=queue,
            states=states,
            text=text,
            dry_run=dry_run,
            max_rate=rate,
            error_group=error_group,
        )
        return RETRY.make(self.calls, requests)

    def update_tasks(
        self,
        tasks: Iterable[TaskHandle[Any] | str] | None = None,
        *,
        queue: str = "",
        states: Sequence[str] = (),
        text: str = "",
        dry_run: bool = False,
        **changes: Unpack[UpdateArgs],
    ) -> Updated:
        """Change many tasks that wait, by few calls. What does not wait is counted.

            client.update_tasks(queue="mail", states=["pending"], priority=5)

        Args:
            tasks, queue, text, dry_run: as of `cancel_tasks`.
            states: only in these: "pending" or "scheduled"; in both when empty.
            changes: options as `options` has them: priority, labels (replaced as a whole), delay or
                not_before, timeout, start_deadline, retries, backoff, max_backoff, fatal_errors,
                crash_limit; and to_queue: they go to that queue.

        Raises QuorateError: INVALID_ARGUMENT where both or neither are given, or nothing changes.
        """
        requests = UPDATE.requests(
            tasks, queue=queue, states=states, text=text, dry_run=dry_run, **update_of(changes)
        )
        return UPDATE.make(self.calls, requests)

    def delete_tasks(
        self,
        tasks: Iterable[TaskHandle[Any] | str] | None = None,
        *,
        queue: str = "",
        states: Sequence[str] = (),
        text: str = "",
        error_group: str = "",
        dry_run: bool = False,
    ) -> Deleted:
        """Delete the records of many finished tasks by few calls, with their results and errors.

        What is not finished or unknown is counted and is no error.

        Args:
            tasks, queue, text, dry_run: as of `cancel_tasks`.
            states: only in these, such as "failed"; in any finished state when empty.
            error_group: tasks of this group of `dead_letters`; a filter by itself.

        Raises QuorateError: INVALID_ARGUMENT where both or neither are given.
        """
        return DELETE.make(
            self.calls,
            DELETE.requests(
                tasks,
                queue=queue,
                states=states,
                text=text,
                dry_run=dry_run,
                error_group=error_group,
            ),
        )

    def dead_letters(self, *, queue: str = "") -> Iterator[dead_letter_pb2.DeadLetterGroup]:
        """Failed and expired tasks grouped by error, the largest groups first, page by page.

        Args:
            queue: of all queues when empty.
        """
        request = scheduler_pb2.ListDeadLettersRequest(queue=text_of("queue", queue))
        for answer in pages(self.calls, LIST_DEAD_LETTERS, request):
            yield from answer.groups
