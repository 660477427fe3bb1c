"""What topic `tasks` asks the cluster beside its watches: lists, tasks by id, what was missed.

Keeps nothing but the specs that it learns of.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

import grpc

from gateway.live import limits
from gateway.live.cluster.calls import GET_TASK, LIST_TASKS, WATCH_TASKS, Cluster, pages, read
from gateway.live.cluster.entries import Entry, Specs, remember
from gateway.live.cluster.tokens import Token
from gateway.live.cluster.watch import TaskWatch
from gateway.live.messages.filters import TaskFilter
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2, task_pb2

# A watch that reached the journal's revision has so long to send the rest of it.
_SILENCE = 0.2


class TaskReads:
    """Questions about tasks."""

    def __init__(self, cluster: Cluster, specs: Specs) -> None:
        self._cluster = cluster
        self._specs = specs

    async def newest(self, wanted: TaskFilter) -> tuple[Sequence[task_pb2.Task], bool]:
        """The newest tasks that match, and whether there are more. Raises QuorateError."""
        if wanted.ids:
            return await self.by_id(wanted.ids), False

        def ask(size: int, token: str) -> Any:
            return scheduler_pb2.ListTasksRequest(
                queue=wanted.queue,
                states=[cast("Any", state) for state in sorted(wanted.states)],
                page_size=size,
                page_token=token,
                view=task_pb2.TASK_VIEW_BASIC,
            )

        found: list[task_pb2.Task] = []
        # A label is not known to the cluster's index: pages are looked through for it.
        most = limits.SCAN_PAGES * 1_000 if wanted.labels else wanted.limit
        listing = pages(self._cluster, LIST_TASKS, ask, most)
        async with aclosing(cast("Any", listing)):
            async for page in listing:
                found += (t for t in page.tasks if wanted.has_labels(t.spec.labels))
                if len(found) >= wanted.limit:
                    return found, True
                more = bool(page.next_page_token)
        return found, more

    async def by_id(self, ids: frozenset[str]) -> list[task_pb2.Task]:
        """Those of them that exist. Raises QuorateError."""

        async def one(task_id: str) -> task_pb2.Task | None:
            request = scheduler_pb2.GetTaskRequest(id=task_id, view=task_pb2.TASK_VIEW_BASIC)
            try:
                task: task_pb2.Task = (await read(self._cluster, GET_TASK, request)).task
            except QuorateError as error:
                # What is no id at all does not exist either.
                if error.code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
                    return None
                raise
            return task

        ordered, found = sorted(ids), []
        for start in range(0, len(ordered), limits.READS):
            some = ordered[start : start + limits.READS]
            found += [t for t in await asyncio.gather(*map(one, some)) if t is not None]
        return found

    async def between(self, watch: TaskWatch, token: Token) -> list[Entry] | None:
        """What happened between a token and the journal's revision; None when that is too much.

        Raises QuorateError.
        """
        until = watch.journal.token.revision
        if not token.revision or token.revision > until:
            # From before the first event; or of a log that was restored, or forged.
            return None
        request = scheduler_pb2.WatchTasksRequest(queue=watch.queue, resume_token=token.upstream)
        reached = token.revision
        newest: dict[str, Entry] = {}
        answers = self._cluster.stream(WATCH_TASKS, request, timeout=limits.CATCH_UP)
        async with aclosing(cast("Any", answers)):
            while reached <= until:
                answer = await _answer(answers, None if reached < until else _SILENCE)
                if answer is None:
                    break
                # An answer without events says how far all is sent.
                reached = max(reached, answer.revision)
                for event in answer.events:
                    remember(event, self._specs)
                    newest[event.task.id] = Entry(event)
                    reached = max(reached, event.revision)
                if len(newest) > limits.EVENTS:
                    return None
        return list(newest.values())


async def _answer(answers: AsyncIterator[Any], silence: float | None) -> Any:
    """The next answer; None after so many seconds without."""
    try:
        async with asyncio.timeout(silence):
            return await anext(answers, None)
    except TimeoutError:
        return None
