"""All families of `quorate.v1.Broker` of one term."""

from __future__ import annotations

from scheduler.api.broker.consuming.offsets import OffsetCalls
from scheduler.api.broker.consuming.registry import ConsumeCalls
from scheduler.api.broker.exchanges import ExchangeCalls
from scheduler.api.broker.message_queues import MessageQueueCalls
from scheduler.api.broker.policies.calls import PolicyCalls
from scheduler.api.broker.publishing.calls import PublishCalls
from scheduler.api.broker.steps import Steps
from scheduler.api.broker.taking import TakingCalls
from scheduler.api.broker.transacting import TransactCalls
from scheduler.api.candidates import Candidates
from scheduler.engine.broker.driver import BrokerDriver
from scheduler.engine.driver import Driver


def broker_calls(
    driver: Driver,
    broker: BrokerDriver,
    consuming: ConsumeCalls,
    max_message: int,
    candidates: Candidates,
) -> tuple[object, ...]:
    """One method for each RPC among them. `max_message`: bytes of the body of one message."""
    steps = Steps(driver, broker)
    return (
        ExchangeCalls(steps),
        MessageQueueCalls(steps),
        PublishCalls(broker, max_message),
        TakingCalls(broker),
        consuming,
        OffsetCalls(steps, candidates),
        PolicyCalls(steps, candidates),
        TransactCalls(broker, max_message),
    )
