"""A small Celery application. `CELERY_BROKER_URL` says where its broker is, `CELERY_CA_FILE` by
which CA it is known (plaintext without)."""

from __future__ import annotations

import os
import ssl

from celery import Celery

app = Celery(
    "quorate_test",
    broker=os.environ.get("CELERY_BROKER_URL", "amqp://127.0.0.1:1/"),
    backend="rpc://",
)
CA_FILE = os.environ.get("CELERY_CA_FILE")
app.conf.update(
    broker_use_ssl={"ca_certs": CA_FILE, "cert_reqs": ssl.CERT_REQUIRED} if CA_FILE else False,
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
