"""The calls about queues."""

from __future__ import annotations

from google.protobuf.message import Message

from quorate.runtime.errors import not_found
from quorate.runtime.ids import QueueName
from quorate.security.identity import current_caller
from quorate.v1 import queue_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.asking import ask, audited, page_of_names
from scheduler.api.queues import validate, views
from scheduler.api.servicer import Context
from scheduler.api.validate import known_enum, queue_name
from scheduler.core.model import events as e
from scheduler.core.model.answers import QueueSeen, see_queue
from scheduler.core.model.events import Request
from scheduler.core.values import Disconnect, Placement
from scheduler.engine.driver import Driver


class QueueCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._state = driver.state

    async def CreateQueue(self, request: pb.CreateQueueRequest, context: Context) -> Message:
        asked = audited("CreateQueue", request, context)
        queue = request.queue
        name = QueueName(queue_name("queue.name", queue.name))
        age, count = validate.retention(queue)
        placement = known_enum("queue.placement", queue.placement, range(4))
        disconnect = known_enum("queue.disconnect", queue.disconnect, range(3))
        answer = await ask(
            self._driver,
            asked,
            lambda token: e.QueueSubmitted(
                name,
                Placement(placement or Placement.LEAST_LOADED),
                Disconnect(disconnect or Disconnect.KEEP),
                age,
                count,
                asked,
                token,
            ),
        )
        return pb.CreateQueueResponse(queue=_queue_view(answer))

    async def GetQueue(self, request: pb.GetQueueRequest, context: Context) -> Message:
        name = QueueName(queue_name("name", request.name))
        row = self._state.queues.get(name)
        seen = see_queue(row) if row else None
        await self._driver.readable()
        if seen is None:
            raise not_found("queue", name)
        return pb.GetQueueResponse(queue=views.queue(seen))

    async def ListQueues(self, request: pb.ListQueuesRequest, context: Context) -> Message:
        caller = current_caller()
        shown = [name for name in self._state.queues if caller is None or caller.may_name(name)]
        names, token = page_of_names("queues", shown, request.page_size, request.page_token)
        seen = [see_queue(self._state.queues[QueueName(name)]) for name in names]
        revision = self._driver.revision
        await self._driver.readable()
        return pb.ListQueuesResponse(
            queues=map(views.queue, seen), next_page_token=token, revision=revision
        )

    async def DeleteQueue(self, request: pb.DeleteQueueRequest, context: Context) -> Message:
        asked = audited("DeleteQueue", request, context)
        name = QueueName(queue_name("name", request.name))
        await ask(self._driver, asked, lambda token: e.QueueDeleteAsked(name, asked, token))
        return pb.DeleteQueueResponse()

    async def PauseQueue(self, request: pb.PauseQueueRequest, context: Context) -> Message:
        answer = await self._pause(request.name, True, audited("PauseQueue", request, context))
        return pb.PauseQueueResponse(queue=answer)

    async def ResumeQueue(self, request: pb.ResumeQueueRequest, context: Context) -> Message:
        answer = await self._pause(request.name, False, audited("ResumeQueue", request, context))
        return pb.ResumeQueueResponse(queue=answer)

    async def _pause(self, name: str, paused: bool, asked: Request) -> queue_pb2.Queue:
        queue = QueueName(queue_name("name", name))
        answer = await ask(
            self._driver, asked, lambda token: e.QueuePauseAsked(queue, paused, asked, token)
        )
        return _queue_view(answer)


def _queue_view(answer: object) -> queue_pb2.Queue:
    assert isinstance(answer, QueueSeen)
    return views.queue(answer)
