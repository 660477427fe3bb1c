"""What a leader serves: the gRPC services of the contract, and the families that answer them."""

from __future__ import annotations

from typing import Final

from quorate.externalscaler import externalscaler_pb2
from quorate.v1 import broker_pb2, scheduler_pb2, service_pb2
from scheduler.api.broker.consuming.registry import ConsumeCalls
from scheduler.api.broker.family import broker_calls
from scheduler.api.candidates import Candidates
from scheduler.api.cluster.servicer import ClusterCalls
from scheduler.api.dead_letters.servicer import DeadLetterCalls
from scheduler.api.forwarding.role import Servicers
from scheduler.api.jobs.servicer import JobCalls
from scheduler.api.limits.servicer import LimitCalls
from scheduler.api.nodes.servicer import NodeCalls
from scheduler.api.pauses.servicer import PauseCalls
from scheduler.api.queues.servicer import QueueCalls
from scheduler.api.queues.templates import TemplateCalls
from scheduler.api.quotas.servicer import QuotaCalls
from scheduler.api.scaling.servicer import ScalingCalls
from scheduler.api.schedules.servicer import ScheduleCalls
from scheduler.api.servicer import compose
from scheduler.api.services.servicer import ServiceCalls
from scheduler.api.tasks.bulk.whole import AllTasksCalls
from scheduler.api.tasks.logs.calls import LogCalls
from scheduler.api.tasks.servicer import TaskCalls
from scheduler.engine.broker.driver import BrokerDriver
from scheduler.engine.driver import Driver

SCHEDULER: Final = scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"]
REGISTRY: Final = service_pb2.DESCRIPTOR.services_by_name["ServiceRegistry"]
BROKER: Final = broker_pb2.DESCRIPTOR.services_by_name["Broker"]
# A service of others' contract: KEDA asks it how many agents to run.
SCALER: Final = externalscaler_pb2.DESCRIPTOR.services_by_name["ExternalScaler"]

SERVED: Final = (SCHEDULER, REGISTRY, BROKER, SCALER)


def servicers(
    tasks: TaskCalls,
    logs: LogCalls,
    dead_letters: DeadLetterCalls,
    jobs: JobCalls,
    queues: QueueCalls,
    templates: TemplateCalls,
    nodes: NodeCalls,
    quotas: QuotaCalls,
    limits: LimitCalls,
    pauses: PauseCalls,
    cluster: ClusterCalls,
    schedules: ScheduleCalls,
    services: ServiceCalls,
    scaling: ScalingCalls,
    driver: Driver,
    broker: BrokerDriver,
    consuming: ConsumeCalls,
    max_payload: int,
    max_message: int,
    candidates: Candidates,
) -> Servicers:
    """The servicers of one term.

    Args:
        driver, broker, consuming: of the term: what messages need.
        max_payload: bytes of one spec; `max_message`: of the body of one message.
        candidates: what other schedulers understand.
    """

    def queue_of(name: str) -> str | None:
        return tasks.queue_of_task(name) or jobs.queue_of_job(name)

    return {
        SCHEDULER.full_name: compose(
            SCHEDULER,
            *(
                tasks,
                AllTasksCalls(tasks),
                logs,
                dead_letters,
                jobs,
                queues,
                templates,
                nodes,
                schedules,
            ),
            *(quotas, limits, pauses, cluster),
            max_payload=max_payload,
            queue_of_task=queue_of,
        ),
        REGISTRY.full_name: compose(REGISTRY, services, max_payload=max_payload),
        BROKER.full_name: compose(
            BROKER, *broker_calls(driver, broker, consuming, max_message, candidates)
        ),
        SCALER.full_name: compose(SCALER, scaling),
    }
