"""The leader and a gateway are killed under REST load (issue 3, "Done when" 6).

Two gateways; clients repeat what was not answered at the other one, with the same
`Idempotency-Key`. Each round kills one gateway and the leader, in another order.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import ExitStack

from google.protobuf.json_format import MessageToDict

from tests.support.cluster import Cluster
from tests.support.gateway import GatewayProcess, run_gateway
from tests.support.load import Load
from tests.support.rest_load import RestLoad, list_tasks
from tests.support.server import until

ROUNDS = 3


async def test_a_killed_leader_and_gateway_lose_nothing_and_repeat_nothing(tmp_path):
    async with Cluster(tmp_path, slots=4) as cluster:
        await cluster.in_session()
        load = Load(cluster)
        spec = MessageToDict(load.stamp(0.0))
        schedulers = [server.address for server in cluster.schedulers.values()]
        with ExitStack() as stack:
            gateways = [stack.enter_context(run_gateway(schedulers)) for _ in range(2)]
            addresses = [gateway.address for gateway in gateways]
            with RestLoad(addresses, spec, clients=6) as clients:
                for number in range(ROUNDS):
                    await _kill_both(cluster, clients, gateways[number % 2], number)
                    gateways[number % 2] = stack.enter_context(run_gateway(schedulers))
                    addresses[number % 2] = gateways[number % 2].address
                await _more(clients, 20)
            assert not clients.failures
            load.acknowledged += [task for ids in clients.tasks.values() for task in ids]
            await load.all_finished()
            await load.check()

            for address in addresses:
                for key in list(clients.tasks)[:: max(1, len(clients.tasks) // 20)]:
                    assert clients.again(key, address) == clients.tasks[key]
                listed = list_tasks(address)
                assert Counter(task["id"] for task in listed) == Counter(load.acknowledged)
                made = Counter(task["spec"]["labels"]["key"] for task in listed)
                assert made == {key: len(ids) for key, ids in clients.tasks.items()}
                assert {task["state"] for task in listed} == {"TASK_STATE_SUCCEEDED"}
            # No node was lost, so no task had a reason to run twice.
            assert Counter(start.task for start in load.starts()) == Counter(load.acknowledged)
            tasks = len(load.acknowledged)
            sys.stdout.write(f"\n{ROUNDS} rounds, {tasks} tasks: {clients.figures}\n")
            assert max(clients.figures.latencies) < 5.0


async def _kill_both(
    cluster: Cluster, clients: RestLoad, gateway: GatewayProcess, number: int
) -> None:
    await cluster.standby()
    epoch, leader = await cluster.leader()
    await _more(clients, 30)
    if number == 0:
        # The gateway dies while it waits for the next leader.
        leader.kill()
        gateway.process.kill()
    elif number == 1:
        gateway.process.kill()
        leader.kill()
    else:
        leader.kill()
        await cluster.leader(after=epoch)
        gateway.process.kill()
    await leader.gone()
    await asyncio.to_thread(gateway.process.wait)
    await leader.start()
    await cluster.leader(after=epoch)
    await _more(clients, 30)


async def _more(clients: RestLoad, count: int) -> None:
    enough = clients.answered + count
    await until(
        lambda: clients.answered >= enough or bool(clients.failures), f"{count} more answers"
    )
    assert not clients.failures, clients.failures
