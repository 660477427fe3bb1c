"""The calls about the cluster as a whole, and its audit log."""

from __future__ import annotations

from google.protobuf.message import Message

from quorate.security.identity import current_caller
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.cluster import views
from scheduler.api.cluster.audit_log import AuditLog
from scheduler.api.cluster.overview import Overview
from scheduler.api.cluster.verdicts import Verdicts, shown_to
from scheduler.api.servicer import Context
from scheduler.api.views import instant
from scheduler.engine.driver import Driver
from scheduler.storage.reads import FencedReads


class ClusterCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(
        self, driver: Driver, stored: FencedReads, overview: Overview, verdicts: Verdicts
    ) -> None:
        self._verdicts = verdicts
        self._driver = driver
        self._overview = overview
        self._audit = AuditLog(driver, stored)

    async def GetCluster(self, request: pb.GetClusterRequest, context: Context) -> Message:
        await self._driver.readable()
        cluster = await self._overview.cluster()
        caller = current_caller()
        cluster.problems.extend(shown_to(caller, self._verdicts.problems()))
        cluster.problems_time.CopyFrom(instant(self._verdicts.looked))
        return pb.GetClusterResponse(cluster=cluster, caller=views.caller(caller))

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> Message:
        return await self._audit.page(request)
