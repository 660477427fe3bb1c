"""ListQuotas and SetQuota: the quotas of callers and queues, and what is used of them."""

from __future__ import annotations

from google.protobuf.message import Message

from quorate.runtime.errors import not_found
from quorate.runtime.ids import ANONYMOUS, QueueName
from quorate.security.identity import current_caller
from quorate.security.limits import CallerLimits, CallUsage
from quorate.v1 import quota_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.asking import ask, audited, page_of_names
from scheduler.api.quotas import validate
from scheduler.api.servicer import Context
from scheduler.core.model import events as e
from scheduler.core.model.indexes.usage import Usage
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import (
    CALLER,
    EVERYBODY,
    NAMES,
    NO_QUOTA,
    QUEUE,
    QUEUE_NAMES,
    in_force,
)
from scheduler.engine.driver import Driver
from scheduler.storage.records.queues import quotas as quota_records

_NO_CALLS = CallUsage()


class QuotaCalls:
    """The quotas of one leader.

    Args:
        callers: what is asked of this process.
    """

    def __init__(self, driver: Driver, limits: Limits, callers: CallerLimits) -> None:
        self._driver = driver
        self._state = driver.state
        self._limits = limits
        self._callers = callers

    async def ListQuotas(self, request: pb.ListQuotasRequest, context: Context) -> Message:
        calls = self._callers.usage()
        shown = [f"{kind}/{name}" for kind, name in self._known(calls) if self._visible(kind, name)]
        names, token = page_of_names("quotas", shown, request.page_size, request.page_token)
        views = []
        for each in names:
            kind, _, name = each.partition("/")
            views.append(self._view(kind, name, calls))
        await self._driver.readable()
        return pb.ListQuotasResponse(quotas=views, next_page_token=token)

    async def SetQuota(self, request: pb.SetQuotaRequest, context: Context) -> Message:
        asked = audited("SetQuota", request, context)
        kind, name, quota = validate.quota(request.quota)
        if kind == QUEUE and name != EVERYBODY and name not in self._state.queues:
            await self._driver.readable()
            raise not_found("queue", name)
        await ask(
            self._driver, asked, lambda token: e.QuotaSubmitted(kind, name, quota, asked, token)
        )
        view = self._view(kind, name, self._callers.usage())
        await self._driver.readable()
        return pb.SetQuotaResponse(quota=view)

    def used(self) -> dict[tuple[str, str], dict[str, int]]:
        """What is used, by kind and name, of everybody that uses something."""
        calls = self._callers.usage()
        return {
            (kind, name): self._used(kind, name, calls)
            for kind, name in self._known(calls)
            if name != EVERYBODY
        }

    def limits(self, kind: str, name: str) -> dict[str, int]:
        """The limits in force, by name; -1: none."""
        quota = in_force(self._state.quotas, self._limits, kind, name)
        names = NAMES if kind == CALLER else QUEUE_NAMES
        return {limit: getattr(quota, limit) for limit in names}

    def _known(self, calls: dict[str, CallUsage]) -> list[tuple[str, str]]:
        state = self._state
        known = dict.fromkeys(state.quotas)
        known.update(dict.fromkeys(((CALLER, EVERYBODY), (QUEUE, EVERYBODY))))
        known.update(dict.fromkeys((CALLER, name or ANONYMOUS) for name in state.callers))
        known.update(dict.fromkeys((CALLER, name) for name in calls))
        known.update(
            dict.fromkeys(
                (QUEUE, str(name))
                for name, row in state.queues.items()
                if row.usage.live or row.usage.finished or row.jobs
            )
        )
        return list(known)

    @staticmethod
    def _visible(kind: str, name: str) -> bool:
        caller = current_caller()
        if caller is None or not caller.bound:
            return True
        return name == str(caller) if kind == CALLER else caller.may_name(name)

    def _view(self, kind: str, name: str, calls: dict[str, CallUsage]) -> quota_pb2.Quota:
        names = NAMES if kind == CALLER else QUEUE_NAMES
        view = quota_pb2.Quota(
            limits=quota_records.limits_view(self._state.quotas.get((kind, name), NO_QUOTA)),
            in_force=quota_records.limits_view(
                in_force(self._state.quotas, self._limits, kind, name), names
            ),
        )
        setattr(view, kind, name)
        if name != EVERYBODY:
            view.usage.CopyFrom(quota_pb2.QuotaLimits(**self._used(kind, name, calls)))
        return view

    def _used(self, kind: str, name: str, calls: dict[str, CallUsage]) -> dict[str, int]:
        state = self._state
        usage: Usage | None
        if kind == QUEUE:
            queue = state.queues.get(QueueName(name))
            usage = queue.usage if queue is not None else None
        else:
            usage = state.callers.get("" if name == ANONYMOUS else name)
        found = {
            "live_tasks": usage.tasks if usage else 0,
            "live_subtasks": usage.subtasks if usage else 0,
            "blob_bytes": usage.blob_bytes if usage else 0,
            "stored_bytes": usage.stored_bytes if usage else 0,
        }
        if kind == CALLER:
            found.update(calls.get(name, _NO_CALLS)._asdict())
        return found
