"""The calls about dead letters.

The groups are in memory (`core.model.dead_letters`); what a page shows of their examples is read
back from etcd.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import Final

from google.protobuf.message import Message

from quorate.runtime.errors import not_found
from quorate.runtime.ids import QueueName
from quorate.v1 import dead_letter_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api import page_tokens
from scheduler.api.servicer import Context
from scheduler.api.validate import page_size, queue_name
from scheduler.api.views import instant
from scheduler.core.model.indexes.dead_letters import MOST, DeadGroup
from scheduler.engine.driver import Driver
from scheduler.storage.reads import FencedReads, TaskRecords

_KIND: Final = "dead-letters"
# Characters of a group's message.
_MESSAGE: Final = 1_024


class DeadLetterCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, driver: Driver, stored: FencedReads) -> None:
        self._driver = driver
        self._state = driver.state
        self._stored = stored

    async def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: Context
    ) -> Message:
        size = page_size(request.page_size)
        skip = _skipped(request)
        queue = None
        if request.queue:
            queue = QueueName(queue_name("queue", request.queue))
            if queue not in self._state.queues:
                await self._driver.readable()
                raise not_found("queue", queue)
        groups = list(self._state.dead.groups(queue))
        # The largest first; of those alike the first by name. One more says whether there are more.
        page = nsmallest(skip + size + 1, groups, key=_order)[skip:]
        answer = pb.ListDeadLettersResponse(total=sum(len(group.rows) for group in groups))
        shown = [_view(group) for group in page[:size]]
        await self._driver.readable()
        wanted = [(view.queue, view.example_task) for view in shown]
        found = {record.id: record async for record in self._stored.each(wanted)}
        for view in shown:
            record = found.get(view.example_task)
            if record is not None:
                _add_example(view, record)
        answer.groups.extend(shown)
        if len(page) > size:
            answer.next_page_token = page_tokens.encode(_KIND, (request.queue,), str(skip + size))
        return answer


def _skipped(request: pb.ListDeadLettersRequest) -> int:
    position = page_tokens.decode(_KIND, (request.queue,), request.page_token)
    if position is None:
        return 0
    if not position.isascii() or not position.isdigit() or len(position) > len(str(MOST)) + 1:
        raise page_tokens.stale("is malformed; begin again without it")
    return int(position)


def _order(group: DeadGroup) -> tuple[int, str, str]:
    return -len(group.rows), group.queue, group.id


def _view(group: DeadGroup) -> dead_letter_pb2.DeadLetterGroup:
    return dead_letter_pb2.DeadLetterGroup(
        id=group.id,
        queue=group.queue,
        count=len(group.rows),
        first_time=instant(group.first.finish_time),
        last_time=instant(group.last.finish_time),
        example_task=group.last.id,
        mixed=group.mixed,
    )


def _add_example(view: dead_letter_pb2.DeadLetterGroup, record: TaskRecords) -> None:
    spec = task_pb2.TaskSpec.FromString(record.task.spec)
    view.example_name = spec.name
    if record.run is not None:
        view.error_type = record.run.error.type
        view.error_message = record.run.error.message[:_MESSAGE]
