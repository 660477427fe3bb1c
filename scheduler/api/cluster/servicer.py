"""The calls about the cluster as a whole, and its audit log."""

from __future__ import annotations

from google.protobuf.message import Message

from quorate.security.identity import current_caller
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.cluster import views
from scheduler.api.cluster.audit_log import AuditLog
from scheduler.api.cluster.overview import Overview
from scheduler.api.servicer import Context
from scheduler.engine.driver import Driver
from scheduler.storage.reads import FencedReads


class ClusterCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, driver: Driver, stored: FencedReads, overview: Overview) -> None:
        self._driver = driver
        self._overview = overview
        self._audit = AuditLog(driver, stored)

    async def GetCluster(self, request: pb.GetClusterRequest, context: Context) -> Message:
        await self._driver.readable()
        cluster = await self._overview.cluster()
        return pb.GetClusterResponse(cluster=cluster, caller=views.caller(current_caller()))

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> Message:
        return await self._audit.page(request)
