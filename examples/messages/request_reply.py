"""Request and reply: a program asks, any of several others answers.

python examples/messages/request_reply.py serve     # in several terminals; Ctrl-C ends it
python examples/messages/request_reply.py ask 10 20 30
"""

from __future__ import annotations

import sys

import quorate

QUEUE = "fibonacci"


@quorate.consumer(QUEUE, concurrency=4)
def fibonacci(delivery: quorate.Delivery) -> int:
    """What this returns is the reply."""
    before, last = 0, 1
    for _ in range(delivery.json()):
        before, last = last, before + last
    return before


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C or SIGTERM, or ask for some numbers."""
    with quorate.Client() as client:
        client.declare_queue(QUEUE)
        if arguments[0] == "serve":
            fibonacci.run(client)
            return 0
        for number in map(int, arguments[1:]):
            reply = client.request("", number, routing_key=QUEUE, timeout=30)
            print(f"fibonacci({number}) = {reply.json()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
