"""Pages of results for reduces that run on nodes: see `ReadResults` of the node agent's protocol.

Owned by one term. Each page costs a read of a block from etcd, unless the block was read for the
page before, or for another reduce of it: of what was read `KEPT_BYTES` are kept. What a reduce gets
never changes: it is read once all of it has succeeded.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from quorate.etcd.api import Etcd
from quorate.v1 import job_pb2
from scheduler.core.arrays.positions import BLOCK
from scheduler.storage.job_results import Value, results_of_block

# Bytes of the values of one page, unless it has one value; positions are those of a block at most.
PAGE_BYTES: Final = 1 << 20
# Bytes of one block that are read at once, and of all that are kept.
READ_BYTES: Final = 8 << 20
KEPT_BYTES: Final = 32 << 20
# What a value costs beside its bytes, about.
_ENTRY: Final = 150


class _Part:
    """Results of a block, of the positions `begin` to `end` - 1."""

    __slots__ = ("begin", "end", "size", "values")

    def __init__(self, begin: int, end: int, values: dict[int, Value]) -> None:
        self.begin, self.end, self.values = begin, end, values
        self.size = sum(len(value) + _ENTRY for _, value in values.values())


class ResultPages:
    """The pages of one term.

    Args:
        prefix: the cluster's key prefix.
    """

    def __init__(self, etcd: Etcd, prefix: bytes) -> None:
        self._etcd = etcd
        self._prefix = prefix
        # By job and block, the one used last at the end.
        self._kept: OrderedDict[tuple[str, int], _Part] = OrderedDict()
        self._size = 0

    async def page(self, job: str, first: int, end: int) -> tuple[int, list[job_pb2.ResultRun]]:
        """The results of a job from a position on, at least that one and none behind `end`.

        Returns:
            The position behind the last one, and runs. An empty value, and none, is no result.

        Raises:
            EtcdError: etcd does not answer.
        """
        part = await self._part(job, first)
        runs: list[job_pb2.ResultRun] = []
        size, get = 0, part.values.get
        run: job_pb2.ResultRun | None = None
        for position in range(first, min(end, part.end)):
            found = get(position)
            if found is None:
                if run is not None:
                    run.values.append(b"")
                continue
            kind, value = found
            if size and size + len(value) > PAGE_BYTES:
                return position, runs
            size += len(value)
            if run is None or run.kind != kind:
                run = job_pb2.ResultRun(first=position, kind=kind)  # type: ignore[arg-type]
                runs.append(run)
            run.values.append(value)
        return max(first + 1, min(end, part.end)), runs

    async def _part(self, job: str, first: int) -> _Part:
        number = first // BLOCK
        part = self._kept.get((job, number))
        if part is not None and part.begin <= first < part.end:
            self._kept.move_to_end((job, number))
            return part
        wanted = range(first, (number + 1) * BLOCK)
        held = await results_of_block(self._etcd, self._prefix, job, number, wanted, READ_BYTES)
        part = _Part(first, max(first + 1, held.end), dict(held))
        self._keep((job, number), part)
        return part

    def _keep(self, key: tuple[str, int], part: _Part) -> None:
        if old := self._kept.pop(key, None):
            self._size -= old.size
        self._kept[key] = part
        self._size += part.size
        while self._size > KEPT_BYTES and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._size -= gone.size
