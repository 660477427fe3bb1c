"""A log router: each reader gets the lines that it asks for, by pattern.

    python examples/messages/log_router.py read 'web.*' '#.error'   # in several terminals
    python examples/messages/log_router.py write web.info 'GET /'
    python examples/messages/log_router.py write db.error 'disk full'

`web.info` is a routing key of two words. `*` stands for one word, `#` for any number.
"""

from __future__ import annotations

import sys

import quorate

EXCHANGE = "logs"


def main(arguments: list[str]) -> int:
    """Write a line, or read until Ctrl-C."""
    with quorate.Client() as client:
        client.declare_exchange(EXCHANGE, "topic")
        if arguments[0] == "write":
            key, line = arguments[1:]
            client.publish(EXCHANGE, line, routing_key=key)
            return 0
        # A queue of this reader alone, which goes with it.
        with client.subscribe(EXCHANGE, *arguments[1:]) as found:
            print("reading", flush=True)
            for message in found:
                print(f"{message.routing_key}: {message.text}", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
