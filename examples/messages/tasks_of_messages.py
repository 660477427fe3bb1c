"""A message queue that works by itself: each message becomes a task of the cluster.

    python examples/messages/tasks_of_messages.py 10

The exchange `photos` passes messages on to the task queue `thumbnails`. Its template is a program
that gets the body of a message on standard input: the cluster runs it, retries it, and keeps its
result.
"""

from __future__ import annotations

import sys

import quorate
from quorate.client.transport.rpcs import CREATE_QUEUE, new_request_id
from quorate.v1 import queue_pb2, scheduler_pb2

EXCHANGE = "photos"
QUEUE = "thumbnails"


def declare(client: quorate.Client) -> None:
    """The queue, what messages become there, and which messages."""
    request = scheduler_pb2.CreateQueueRequest(
        queue=queue_pb2.Queue(name=QUEUE), request_id=new_request_id()
    )
    try:
        client.calls.call(CREATE_QUEUE, request)
    except quorate.QuorateError as error:
        if error.reason != "QUEUE_ALREADY_EXISTS":
            raise
    client.options(retries=3).set_message_template(QUEUE, ["wc", "-c"])
    client.declare_exchange(EXCHANGE, "topic")
    client.bind("", EXCHANGE, "new.#", to_task_queue=QUEUE)


def main(arguments: list[str]) -> int:
    """Publish messages, and wait for their tasks."""
    count = int(arguments[0]) if arguments else 10
    with quorate.Client() as client:
        declare(client)
        with client.producer(EXCHANGE, routing_key="new.photo") as producer:
            for number in range(count):
                producer.send(bytes(number), message_id=f"photo-{number}")
        # All are confirmed: each has its task.
        done = 0
        for task in client.tasks(queue=QUEUE):
            client.get(task.id).result(timeout=60)
            done += 1
        print(f"{done} tasks done")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
