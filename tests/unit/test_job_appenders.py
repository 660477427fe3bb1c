"""Two programs append to one job at the same time, at a leader over the in-memory store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.jobs.items import ITEMS_AT_ONCE
from tests.unit.test_jobs_api import leading


async def test_two_programs_append_at_the_same_position_and_nothing_is_lost():
    async with leading(lambda chunk, position, item: item) as (api, _):
        job = await api.create(open=True)

        def ask(first: int, *items: bytes, appender: str = "") -> pb.AppendJobItemsRequest:
            return pb.AppendJobItemsRequest(
                id=job.id, first_position=first, items=items, appender=appender
            )

        async def both(*asked: pb.AppendJobItemsRequest) -> list[Any]:
            calls = [api.call("AppendJobItems", one) for one in asked]
            return await asyncio.gather(*calls, return_exceptions=True)

        first, second = await both(ask(0, b"1", b"2"), ask(0, b"1", b"3"))
        assert first.count == 2
        assert (second.code.name, second.reason) == ("ABORTED", "JOB_ITEMS_DIFFER")
        assert second.metadata == {
            "job": job.id, "count": "2", "known": "1", "field": "first_position"
        }  # fmt: skip
        # The same items are no repeat where each caller has a name.
        first, second = await both(
            ask(2, b"3", appender="one"), ask(2, b"3", b"4", appender="other")
        )
        assert first.count == 3
        assert (second.metadata["count"], second.metadata["known"]) == ("3", "0")
        assert (await api.call("AppendJobItems", ask(2, b"3", appender="one"))).count == 3
        # Where they agree the rest is appended, also over several records.
        assert (await api.call("AppendJobItems", ask(1, b"2", b"3", b"4"))).count == 4
        assert (await api.call("AppendJobItems", ask(1, b"2", b"3", b"4"))).count == 4
        with pytest.raises(QuorateError) as error:
            await api.call("AppendJobItems", ask(0, b"1", b"2", b"3", b"5", b"6"))
        assert (error.value.metadata["count"], error.value.metadata["known"]) == ("4", "3")
        with pytest.raises(QuorateError, match="at most 64") as error:
            await api.call("AppendJobItems", ask(4, b"5", appender="x" * 65))
        assert (error.value.code.name, error.value.field) == ("INVALID_ARGUMENT", "appender")
        await api.call("CloseJob", pb.CloseJobRequest(id=job.id))
        assert (await api.wait(job.id)).counts.succeeded == 4
        # A repeat is one when the job is over too.
        assert (await api.call("AppendJobItems", ask(2, b"3", appender="one"))).count == 4


async def test_a_repeat_of_many_parts_goes_on_where_another_program_came_between():
    async with leading() as (api, _):
        job = await api.create(open=True)
        items = [b"%d" % number for number in range(ITEMS_AT_ONCE + 10)]
        asked = pb.AppendJobItemsRequest(id=job.id, items=items[:ITEMS_AT_ONCE], appender="one")
        await api.call("AppendJobItems", asked)
        there = ITEMS_AT_ONCE
        other = pb.AppendJobItemsRequest(
            id=job.id, first_position=there, items=items[there:], appender="two"
        )
        await api.call("AppendJobItems", other)
        # As after a failover half-way.
        asked.items.extend(items[there:])
        with pytest.raises(QuorateError) as error:
            await api.call("AppendJobItems", asked)
        found = (error.value.metadata["known"], error.value.metadata["count"])
        assert found == (str(there), str(there + 10))
