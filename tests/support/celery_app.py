"""A small Celery application. `CELERY_BROKER_URL` says where its broker is."""

from __future__ import annotations

import os

from celery import Celery

app = Celery(
    "quorate_test",
    broker=os.environ.get("CELERY_BROKER_URL", "amqp://127.0.0.1:1/"),
    backend="rpc://",
)
app.conf.update(
    task_default_queue=os.environ.get("CELERY_QUEUE", "celery"),
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    result_expires=600,
    broker_connection_retry_on_startup=True,
)


@app.task
def add(first: int, second: int) -> int:
    return first + second


@app.task(bind=True, max_retries=3)
def third_time(self) -> int:
    """It works when it is tried the third time."""
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return int(self.request.retries)


@app.task
def fail() -> None:
    raise ValueError("on purpose")
