"""Quorate: a highly available task cluster.

    import quorate

    with quorate.Client() as client:
        handle = client.submit(pow, 2, 10)
        assert handle.result() == 1024

The names below are loaded when first used, so that `import quorate` (and each service, which
imports `quorate.*` too) stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quorate import errors
    from quorate.client.acurrent import async_current
    from quorate.client.ahandle import AsyncTaskHandle
    from quorate.client.aio import AsyncClient
    from quorate.client.client import Client
    from quorate.client.current import current
    from quorate.client.decorator import schedule, task
    from quorate.client.futures.completed import as_completed
    from quorate.client.futures.executor import Executor
    from quorate.client.handle import TaskHandle
    from quorate.client.jobs.ahandle import AsyncJobHandle
    from quorate.client.jobs.handle import JobHandle
    from quorate.client.messages.consuming.aconsumer import AsyncConsumer
    from quorate.client.messages.consuming.consumer import Consumer
    from quorate.client.messages.consuming.delivery import AsyncDelivery, Delivery
    from quorate.client.messages.publishing.aproducer import AsyncProducer
    from quorate.client.messages.publishing.producer import Producer
    from quorate.client.messages.running import consumer
    from quorate.client.messages.values.incoming import Received
    from quorate.client.messages.values.transaction import Message
    from quorate.client.tracking.progress import progress
    from quorate.client.tracking.waiting import waiting
    from quorate.client.work.options import TaskOptions
    from quorate.client.work.schedules import ScheduleArgs
    from quorate.runtime.attempts.outcomes import Cancel, Snooze
    from quorate.security.tls.dialer import ClientTls

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "AsyncConsumer",
    "AsyncDelivery",
    "AsyncJobHandle",
    "AsyncProducer",
    "AsyncTaskHandle",
    "Cancel",
    "Client",
    "ClientTls",
    "Consumer",
    "Delivery",
    "Executor",
    "JobHandle",
    "Message",
    "Producer",
    "Received",
    "ScheduleArgs",
    "Snooze",
    "TaskHandle",
    "TaskOptions",
    "__version__",
    "as_completed",
    "async_current",
    "consumer",
    "current",
    "errors",
    "progress",
    "schedule",
    "task",
    "waiting",
]

_HOMES = {
    "Message": "quorate.client.messages.values.transaction",
    "AsyncConsumer": "quorate.client.messages.consuming.aconsumer",
    "AsyncDelivery": "quorate.client.messages.consuming.delivery",
    "AsyncProducer": "quorate.client.messages.publishing.aproducer",
    "Consumer": "quorate.client.messages.consuming.consumer",
    "Delivery": "quorate.client.messages.consuming.delivery",
    "Producer": "quorate.client.messages.publishing.producer",
    "Received": "quorate.client.messages.values.incoming",
    "consumer": "quorate.client.messages.running",
    "AsyncClient": "quorate.client.aio",
    "AsyncJobHandle": "quorate.client.jobs.ahandle",
    "AsyncTaskHandle": "quorate.client.ahandle",
    "Cancel": "quorate.runtime.attempts.outcomes",
    "Client": "quorate.client.client",
    "ClientTls": "quorate.security.tls.dialer",
    "Executor": "quorate.client.futures.executor",
    "JobHandle": "quorate.client.jobs.handle",
    "ScheduleArgs": "quorate.client.work.schedules",
    "Snooze": "quorate.runtime.attempts.outcomes",
    "TaskHandle": "quorate.client.handle",
    "TaskOptions": "quorate.client.work.options",
    "async_current": "quorate.client.acurrent",
    "current": "quorate.client.current",
    "as_completed": "quorate.client.futures.completed",
    "progress": "quorate.client.tracking.progress",
    "schedule": "quorate.client.decorator",
    "task": "quorate.client.decorator",
    "waiting": "quorate.client.tracking.waiting",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("quorate.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'quorate' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
