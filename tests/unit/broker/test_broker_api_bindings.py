"""Lists of bindings: by source, by destination, in pages."""

from __future__ import annotations

from typing import Any

import grpc

from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from tests.support.broker_calls import serving
from tests.unit.broker.test_broker_api_declarations import binding, exchange

C = grpc.StatusCode


async def test_bindings_are_listed_by_source_and_queue_in_the_order_they_were_made():
    async with serving() as broker:
        await broker.queue("a")
        await broker.queue("b")
        await broker.call(exchange("logs"))
        rows = [
            binding("logs", "b", "x.#"),
            binding("logs", "a", "y.*"),
            binding("amq.topic", "a", "z"),
        ]
        for row in rows:
            await broker.call(pb.CreateBindingRequest(binding=row))
        await broker.call(pb.CreateBindingRequest(binding=rows[0]))

        async def keys(**wanted: Any) -> list[str]:
            found, token = [], ""
            while True:
                request = pb.ListBindingsRequest(page_size=1, page_token=token, **wanted)
                answer = await broker.call(request)
                found += [one.routing_key for one in answer.bindings]
                token = answer.next_page_token
                if not token:
                    return found

        assert await keys() == ["x.#", "y.*", "z"]
        assert await keys(source="logs") == ["x.#", "y.*"]
        assert await keys(message_queue="a") == ["y.*", "z"]
        assert await keys(source="logs", message_queue="a") == ["y.*"]
        for key in ("e.1", "e.2"):
            to_exchange = m.Binding(source="amq.topic", exchange="logs", routing_key=key)
            await broker.call(pb.CreateBindingRequest(binding=to_exchange))
        assert await keys(exchange="logs") == ["e.1", "e.2"]
        assert await keys(exchange="logs", source="amq.topic") == ["e.1", "e.2"]
        assert await keys(exchange="logs", source="logs") == []
        assert await keys(exchange="a") == []
        assert await keys(source="amq.topic") == ["z", "e.1", "e.2"]
        for other in ("message_queue", "task_queue"):
            both: Any = {"exchange": "logs", other: "a"}
            error = await broker.refused(pb.ListBindingsRequest(**both))
            assert error.code is C.INVALID_ARGUMENT
            assert "exchange" in error.message
            assert other in error.message
        for key in ("e.1", "e.2"):
            to_exchange = m.Binding(source="amq.topic", exchange="logs", routing_key=key)
            await broker.call(pb.DeleteBindingRequest(binding=to_exchange))
        for _ in range(2):
            await broker.call(pb.DeleteBindingRequest(binding=rows[0]))
        assert await keys() == ["y.*", "z"]
