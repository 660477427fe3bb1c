"""A process's way to etcd, on which requests and answers are lost, repeated and late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from quorate.etcd.api import Compare, EtcdError, EtcdUnavailable, Op, TxnResult, WatchBatch

if TYPE_CHECKING:
    from tests.simulation.world import World

PREFIX = b"/quorate/simulated/"


class Way:
    """`Etcd` for one process.

    Args:
        breaks: how often a watch breaks, per batch.
    """

    def __init__(self, world: World, breaks: float = 0.0) -> None:
        self.world = world
        self.cut = False
        self._breaks = breaks

    def __getattr__(self, name: str) -> Any:
        self._check()
        return getattr(self.world.etcd, name)

    def _check(self) -> None:
        if self.cut or self.world.etcd_away:
            raise EtcdUnavailable("etcd does not answer")

    async def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout: float = 5.0,
    ) -> TxnResult:
        """A Txn may be lost, arrive late or twice, or be answered by silence."""
        world, etcd = self.world, self.world.etcd
        fate, bad = world.rng.random(), world.mischief / 3
        await asyncio.sleep(world.delay())
        self._check()
        if fate < bad:
            raise EtcdUnavailable("the request was lost")
        if fate < 3 * bad:
            world.later(
                world.rng.uniform(0.0, 3.0),
                lambda: world.spawn(_late(lambda: etcd.txn(compares, success, failure))),
            )
        if fate < 2 * bad:
            raise EtcdUnavailable("the request is late")
        result = await etcd.txn(compares, success, failure)
        await asyncio.sleep(world.delay())
        if self.cut or fate > 1.0 - bad:
            raise EtcdUnavailable("the answer was lost")
        return result

    def watch(self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0) -> _Watch:
        self._check()
        watch = self.world.etcd.watch(key, range_end, start_revision=start_revision)
        return _Watch(self, watch, self._breaks)


class _Watch:
    """A watch that breaks now and then."""

    def __init__(self, way: Way, watch: Any, breaks: float) -> None:
        self._way, self._watch, self._breaks = way, watch, breaks

    async def __aenter__(self) -> _Watch:
        await self._watch.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._watch.__aexit__(*error)

    def __aiter__(self) -> _Watch:
        return self

    async def __anext__(self) -> WatchBatch:
        batch: WatchBatch = await anext(self._watch)
        if self._breaks and self._way.world.rng.random() < self._breaks * self._way.world.mischief:
            raise EtcdUnavailable("the watch broke")
        return batch


async def _late(request: Callable[[], Any]) -> None:
    """A copy of a request arrives; nobody waits for its answer."""
    try:
        await request()
    except EtcdError:
        pass
