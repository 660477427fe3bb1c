"""Whether the cluster has a leader, found out by asking it several times a second.

Runs while any client is connected. `lost` and `found` are told to all of them: within a second of
the loss, also when another leader took over faster than that (its epoch tells).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
import structlog

from gateway.live import limits
from gateway.live.calls import GET_CLUSTER, Cluster
from quorate.runtime.errors import QuorateError
from quorate.v1 import cluster_pb2, scheduler_pb2

log = structlog.get_logger(__name__)

_REFUSED: Final = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class Leader:
    """What is known of the leader.

    Args:
        tell: called with (leader, sentence) when that changes.
        refused: called when the cluster does not let the caller ask.
    """

    def __init__(
        self,
        cluster: Cluster,
        tell: Callable[[bool, str], None],
        refused: Callable[[QuorateError], None],
    ) -> None:
        self._cluster = cluster
        self._tell = tell
        self._refused = refused
        self.present = True
        self.seen: cluster_pb2.Cluster | None = None
        """What the leader last said; None before it said anything."""

    async def watch(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._ask()
            await asyncio.sleep(limits.PROBE)

    async def _ask(self) -> None:
        try:
            answer = await self._cluster.unary(
                GET_CLUSTER,
                scheduler_pb2.GetClusterRequest(),
                timeout=limits.PROBE_TIMEOUT,
                reads=True,
            )
        except QuorateError as error:
            if error.code in _REFUSED:
                self._refused(error)
                return
            if self.present:
                log.warning("live.leader_lost", error=str(error))
                self.present = False
                self._tell(False, "no leader; showing the last state")
            return
        before, self.seen = self.seen, answer.cluster
        if before is not None and before.epoch != self.seen.epoch and self.present:
            self._tell(False, "the leader was lost; another one takes over")
            self.present = False
        if not self.present:
            self.present = True
            log.info("live.leader_found", epoch=self.seen.epoch)
            self._tell(True, f"led again, epoch {self.seen.epoch}")
