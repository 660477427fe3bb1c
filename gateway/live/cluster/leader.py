"""Whether the cluster has a leader, found out by asking it several times a second.

Runs while any client is connected; clients are notified of each change.

| the cluster answers | then |
|---|---|
| an answer, of the same epoch | there is a leader, however long the answer took |
| an answer, of another epoch | the leader was lost, and another one leads |
| UNAVAILABLE, for `limits.LEADERLESS` seconds | the schedulers say so, or none is there |
| nothing, for `limits.SILENT` seconds | nobody knows: clients hear that the cluster is silent |

A single late answer says nothing: a cluster under load, or a starved gateway, answers late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
import structlog

from gateway.live import limits
from gateway.live.cluster.calls import GET_CLUSTER, Cluster
from quorate.runtime.errors import QuorateError
from quorate.v1 import cluster_pb2, scheduler_pb2

log = structlog.get_logger(__name__)

_REFUSED: Final = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class Leader:
    """What is known of the leader.

    Args:
        notify: called with (leader, sentence) when that changes.
        refused: called when the cluster does not let the caller ask.
    """

    def __init__(
        self,
        cluster: Cluster,
        notify: Callable[[bool, str], None],
        refused: Callable[[QuorateError], None],
    ) -> None:
        self._cluster = cluster
        self._notify = notify
        self._refused = refused
        self.present = True
        self.seen: cluster_pb2.Cluster | None = None
        """What the leader last said; None before it said anything."""
        self.caller = ""
        """For whom it took us; empty before."""
        # Since when every look has said that there is no leader, and since when none was answered.
        self._without: float | None = None
        self._silent: float | None = None

    async def watch(self) -> None:
        """Ask until cancelled."""
        self._without = self._silent = None
        while True:
            await self._ask()
            await asyncio.sleep(limits.PROBE)

    async def _ask(self) -> None:
        asked = self._now()
        try:
            # One try (`reads` would repeat it): each failure must be seen here.
            answer = await self._cluster.unary(
                GET_CLUSTER,
                scheduler_pb2.GetClusterRequest(),
                timeout=limits.PROBE_TIMEOUT if self._without is None else limits.RETRY_TIMEOUT,
            )
        except QuorateError as error:
            if error.code in _REFUSED:
                self._refused(error)
            elif error.code is grpc.StatusCode.UNAVAILABLE or self._without is not None:
                # Behind one that said so, silence means that there is none yet.
                self._silent = None
                self._without = asked if self._without is None else self._without
                if self._now() - self._without >= limits.LEADERLESS:
                    self._lost("no leader; showing the last state", error)
            else:
                self._silent = asked if self._silent is None else self._silent
                if self._now() - self._silent >= limits.SILENT:
                    self._lost("the cluster does not answer; showing the last state", error)
            return
        self._without = self._silent = None
        before, self.seen = self.seen, answer.cluster
        self.caller = answer.caller.name
        if before is not None and before.epoch != self.seen.epoch and self.present:
            self._notify(False, "the leader was lost; another one takes over")
            self.present = False
        if not self.present:
            self.present = True
            log.info("live_leader_found", epoch=self.seen.epoch)
            self._notify(True, f"led again, epoch {self.seen.epoch}")

    def _lost(self, message: str, error: QuorateError) -> None:
        if self.present:
            log.warning("live_leader_lost", message=message, error=str(error))
            self.present = False
            self._notify(False, message)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
