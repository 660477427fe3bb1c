"""The calls about queues."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from quorate.runtime.errors import not_found
from quorate.runtime.ids import QueueName
from quorate.security.identity import current_caller
from quorate.v1 import queue_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.asking import ask, audited, page_of_names
from scheduler.api.candidates import LIMIT_GROUP, Candidates
from scheduler.api.masks import merged, names_field
from scheduler.api.queues import validate, views
from scheduler.api.servicer import Context
from scheduler.api.specs.placement import OLD_STRATEGIES
from scheduler.api.validate import queue_name
from scheduler.core.model import events as e
from scheduler.core.model.answers import QueueSeen, see_queue
from scheduler.core.model.events import Request
from scheduler.core.model.reply_token import Pending
from scheduler.core.place_rules import USUAL_PLACE
from scheduler.core.values import NO_LIMITS, USUAL_ORDER, PauseScope, QueuePause, QueueSettings
from scheduler.engine.driver import Driver
from scheduler.storage.record_kinds import PLACEMENT, QUEUE_PAUSE

_NO_PAUSE: Final = QueuePause()


class QueueCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, driver: Driver, candidates: Candidates) -> None:
        self._candidates = candidates
        self._driver = driver
        self._state = driver.state

    async def CreateQueue(self, request: pb.CreateQueueRequest, context: Context) -> Message:
        asked = audited("CreateQueue", request, context)
        queue = request.queue
        name = QueueName(queue_name("queue.name", queue.name))
        wanted = validate.settings(queue)
        validate.check_events(wanted.events)
        await self._understood(wanted)
        answer = await ask(
            self._driver,
            asked,
            lambda token: e.QueueSubmitted(name, *wanted[:4], asked, token, *wanted[4:]),
        )
        return pb.CreateQueueResponse(queue=_queue_view(answer))

    async def GetQueue(self, request: pb.GetQueueRequest, context: Context) -> Message:
        name = QueueName(queue_name("name", request.name))
        row = self._state.queues.get(name)
        seen = see_queue(row) if row else None
        await self._driver.readable()
        if seen is None:
            raise not_found("queue", name)
        view = views.queue(seen)
        figures = self._driver.metrics.of_queue(name)
        if figures is not None:
            views.durations(view.durations, figures.wait, figures.run)
        return pb.GetQueueResponse(queue=view)

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

    async def UpdateQueue(self, request: pb.UpdateQueueRequest, context: Context) -> Message:
        asked = audited("UpdateQueue", request, context)
        name = QueueName(queue_name("queue.name", request.queue.name))

        def make(token: Pending[object]) -> e.Event:
            # The queue as it is when it is changed, not as it was when the call came.
            return e.QueueUpdateAsked(name, self._updated(name, request), asked, token)

        wanted = self._updated(name, request)
        if names_field(request.queue, request.update_mask.paths, "events"):
            # Only what the caller asks for: it may change a queue whose events others have set.
            validate.check_events(wanted.events)
        await self._understood(wanted)
        return pb.UpdateQueueResponse(queue=_queue_view(await ask(self._driver, asked, make)))

    def _updated(self, name: QueueName, request: pb.UpdateQueueRequest) -> QueueSettings:
        """The settings that an update makes of those that a queue has."""
        row = self._state.queues.get(name)
        old = views.queue(see_queue(row)) if row is not None else queue_pb2.Queue()
        new = merged(old, request.queue, request.update_mask.paths, validate.SETTABLE)
        if not (new.HasField("max_length") or request.queue.length_policy):
            # It goes with the limit.
            new.ClearField("length_policy")
        return validate.settings(new)

    async def _understood(self, settings: QueueSettings) -> None:
        """An older scheduler would leave limits alone."""
        if settings.limits != NO_LIMITS or settings.order != USUAL_ORDER:
            await self._candidates.require(LIMIT_GROUP)
        if settings.place != USUAL_PLACE or settings.placement not in OLD_STRATEGIES:
            await self._candidates.require(PLACEMENT)

    async def DeleteQueue(self, request: pb.DeleteQueueRequest, context: Context) -> Message:
        asked = audited("DeleteQueue", request, context)
        name = QueueName(queue_name("name", request.name))
        await ask(self._driver, asked, lambda token: e.QueueDeleteAsked(name, asked, token))
        return pb.DeleteQueueResponse()

    async def PauseQueue(self, request: pb.PauseQueueRequest, context: Context) -> Message:
        asked = audited("PauseQueue", request, context)
        pause = validate.pause(request, self._driver.clock.now())
        if pause.until or pause.scope is not PauseScope.DISPATCH:
            await self._candidates.require(QUEUE_PAUSE)
        answer = await self._pause(request.name, True, asked, pause)
        return pb.PauseQueueResponse(queue=answer)

    async def ResumeQueue(self, request: pb.ResumeQueueRequest, context: Context) -> Message:
        answer = await self._pause(request.name, False, audited("ResumeQueue", request, context))
        return pb.ResumeQueueResponse(queue=answer)

    async def _pause(
        self, name: str, paused: bool, asked: Request, pause: QueuePause = _NO_PAUSE
    ) -> queue_pb2.Queue:
        queue = QueueName(queue_name("name", name))
        answer = await ask(
            self._driver,
            asked,
            lambda token: e.QueuePauseAsked(queue, paused, asked, token, pause),
        )
        return _queue_view(answer)


def _queue_view(answer: object) -> queue_pb2.Queue:
    assert isinstance(answer, QueueSeen)
    return views.queue(answer)
