"""CreatePause, ListPauses and DeletePause."""

from __future__ import annotations

from google.protobuf.message import Message

from quorate.runtime.ids import QueueName
from quorate.security.identity import current_caller
from quorate.v1 import pause_pb2 as pb
from scheduler.api.asking import ask, audited, page_of_names
from scheduler.api.candidates import Candidates
from scheduler.api.pauses import validate, views
from scheduler.api.servicer import Context
from scheduler.api.validate import queue_name
from scheduler.core.model import events as e
from scheduler.core.model.rows import PauseRow
from scheduler.engine.driver import Driver
from scheduler.storage.record_kinds import PAUSE


class PauseCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, driver: Driver, candidates: Candidates) -> None:
        self._driver = driver
        self._candidates = candidates
        self._pauses = driver.state.pauses

    async def CreatePause(self, request: pb.CreatePauseRequest, context: Context) -> Message:
        asked = audited("CreatePause", request, context)
        wanted = validate.pause(request.pause, self._driver.clock.now())
        await self._candidates.require(PAUSE)
        answer = await ask(
            self._driver, asked, lambda token: e.PauseSubmitted(wanted, asked, token)
        )
        assert isinstance(answer, PauseRow)
        return pb.CreatePauseResponse(pause=views.pause(answer))

    async def ListPauses(self, request: pb.ListPausesRequest, context: Context) -> Message:
        caller, rows = current_caller(), self._pauses.rows
        shown = [row.name for row in rows.values() if caller is None or caller.may_name(row.queue)]
        names, token = page_of_names("pauses", shown, request.page_size, request.page_token)
        seen = [rows[name] for name in names]
        await self._driver.readable()
        return pb.ListPausesResponse(pauses=map(views.pause, seen), next_page_token=token)

    async def DeletePause(self, request: pb.DeletePauseRequest, context: Context) -> Message:
        asked = audited("DeletePause", request, context)
        name, queue = queue_name("name", request.name), QueueName(request.queue)
        await ask(self._driver, asked, lambda token: e.PauseDeleteAsked(name, queue, asked, token))
        return pb.DeletePauseResponse()
