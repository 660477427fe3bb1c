"""`python -m benchmarks.broker.clients PROGRAM TARGET QUEUE SECONDS COUNT`: `Found` as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from benchmarks.broker.clients import aio, blocking, etcd, jetstream, sdk
from benchmarks.broker.clients.work import Work

PROGRAMS = {
    **sdk.PROGRAMS,
    **aio.PROGRAMS,
    **blocking.PROGRAMS,
    **etcd.PROGRAMS,
    **jetstream.PROGRAMS,
}


def main() -> None:
    """Run one program."""
    name, target, queue, seconds, count = sys.argv[1:]
    found = PROGRAMS[name](Work(target, queue, float(seconds), int(count)))
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
