"""A work queue: one program sends jobs, any number of others work on them.

    python examples/messages/work_queue.py send 20
    python examples/messages/work_queue.py work     # in several terminals; Ctrl-C ends it

A job whose worker dies is given to another one. A job that fails three times goes to `jobs.failed`.
"""

from __future__ import annotations

import sys
import time

import quorate

QUEUE = "jobs"


def declare(client: quorate.Client) -> None:
    """Both programs do this: whoever comes first creates the queues."""
    client.declare_queue(f"{QUEUE}.failed")
    client.declare_queue(
        QUEUE,
        delivery_limit=2,
        dead_letter_exchange="",
        dead_letter_routing_key=f"{QUEUE}.failed",
    )


def send(client: quorate.Client, count: int) -> None:
    """Every job is durable when this returns."""
    with client.producer(queue=QUEUE) as producer:
        for number in range(count):
            producer.send({"number": number, "seconds": 0.01})
    print(f"{count} jobs sent")


@quorate.consumer(QUEUE, prefetch=1)
def work(delivery: quorate.Delivery) -> None:
    """One job. It is acknowledged when this returns."""
    job = delivery.json()
    if job["number"] % 10 == 9:
        raise ValueError(f"job {job['number']} cannot be done")
    time.sleep(job["seconds"])
    print(f"job {job['number']} done", flush=True)


def main(arguments: list[str]) -> int:
    """Send, or work until Ctrl-C or SIGTERM."""
    with quorate.Client() as client:
        declare(client)
        if arguments[:1] == ["send"]:
            send(client, int(arguments[1]))
        else:
            work.run(client)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
