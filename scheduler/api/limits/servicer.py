"""CreateLimit, GetLimit, ListLimits, UpdateLimit and DeleteLimit."""

from __future__ import annotations

from google.protobuf.message import Message

from quorate.runtime.errors import not_found
from quorate.v1 import limit_pb2 as pb
from scheduler.api.asking import ask, audited, page_of_names
from scheduler.api.candidates import LIMIT_GROUP, Candidates
from scheduler.api.limits import validate, views
from scheduler.api.masks import merged
from scheduler.api.servicer import Context
from scheduler.api.validate import queue_name
from scheduler.core.model import events as e
from scheduler.core.model.answers import LimitSeen, see_limit
from scheduler.core.model.reply_token import Pending
from scheduler.engine.driver import Driver


class LimitCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, driver: Driver, candidates: Candidates) -> None:
        self._driver = driver
        self._candidates = candidates
        self._permits = driver.state.permits

    async def CreateLimit(self, request: pb.CreateLimitRequest, context: Context) -> Message:
        asked = audited("CreateLimit", request, context)
        name = queue_name("limit.name", request.limit.name)
        most, rate = validate.limit(request.limit)
        await self._candidates.require(LIMIT_GROUP)
        answer = await ask(
            self._driver, asked, lambda token: e.LimitSubmitted(name, most, rate, asked, token)
        )
        return pb.CreateLimitResponse(limit=_view(answer))

    async def GetLimit(self, request: pb.GetLimitRequest, context: Context) -> Message:
        name = queue_name("name", request.name)
        row = self._permits.shared.get(name)
        seen = see_limit(self._permits, row) if row is not None else None
        await self._driver.readable()
        if seen is None:
            raise not_found("limit", name)
        return pb.GetLimitResponse(limit=views.limit(seen))

    async def ListLimits(self, request: pb.ListLimitsRequest, context: Context) -> Message:
        shared = self._permits.shared
        names, token = page_of_names("limits", shared, request.page_size, request.page_token)
        seen = [see_limit(self._permits, shared[name]) for name in names]
        await self._driver.readable()
        return pb.ListLimitsResponse(limits=map(views.limit, seen), next_page_token=token)

    async def UpdateLimit(self, request: pb.UpdateLimitRequest, context: Context) -> Message:
        asked = audited("UpdateLimit", request, context)
        name = queue_name("limit.name", request.limit.name)

        def make(token: Pending[object]) -> e.Event:
            # The limit as it is when it is changed, not as it was when the call came.
            row = self._permits.shared.get(name)
            old = views.limit(see_limit(self._permits, row)) if row is not None else pb.Limit()
            new = merged(old, request.limit, request.update_mask.paths, validate.SETTABLE)
            if row is None:
                return e.LimitUpdateAsked(name, 0, None, asked, token)
            most, rate = validate.limit(new)
            return e.LimitUpdateAsked(name, most, rate, asked, token)

        await self._candidates.require(LIMIT_GROUP)
        return pb.UpdateLimitResponse(limit=_view(await ask(self._driver, asked, make)))

    async def DeleteLimit(self, request: pb.DeleteLimitRequest, context: Context) -> Message:
        asked = audited("DeleteLimit", request, context)
        name = queue_name("name", request.name)
        await ask(self._driver, asked, lambda token: e.LimitDeleteAsked(name, asked, token))
        return pb.DeleteLimitResponse()


def _view(answer: object) -> pb.Limit:
    assert isinstance(answer, LimitSeen)
    return views.limit(answer)
