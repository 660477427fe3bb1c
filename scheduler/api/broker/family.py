"""All families of `quorate.v1.Broker` of one term."""

from __future__ import annotations

from scheduler.api.broker.consuming.registry import ConsumeCalls
from scheduler.api.broker.exchanges import ExchangeCalls
from scheduler.api.broker.message_queues import MessageQueueCalls
from scheduler.api.broker.publishing.calls import PublishCalls
from scheduler.api.broker.steps import Steps
from scheduler.api.broker.taking import TakingCalls
from scheduler.api.broker.transacting import TransactCalls
from scheduler.engine.broker.driver import BrokerDriver
from scheduler.engine.driver import Driver


def broker_calls(
    driver: Driver, broker: BrokerDriver, consuming: ConsumeCalls, max_message: int
) -> tuple[object, ...]:
    """One method for each RPC among them. `max_message`: bytes of the body of one message."""
    steps = Steps(driver, broker)
    return (
        ExchangeCalls(steps),
        MessageQueueCalls(steps),
        PublishCalls(broker, max_message),
        TakingCalls(broker),
        consuming,
        TransactCalls(broker, max_message),
    )
