"""`python -m tests.oracle [SCRIPT...]`: do the steps at both brokers, print what differs.

Differences that docs/amqp.md explains are in `intended`; exit code 1: there is another one, or one
of those is gone. RabbitMQ is Debian's (apt-get install rabbitmq-server).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.broker import rabbitmq
from benchmarks.broker.sides import amqp_of
from benchmarks.cluster import BenchCluster
from tests.oracle import intended
from tests.oracle.scripts import consuming, declaring, dying, publishing, routing
from tests.oracle.session import Session, Step

SCRIPTS = {
    script.__name__.replace("_", "-"): script
    for room in (declaring, routing, publishing, consuming, dying)
    for script in room.SCRIPTS
}


def main() -> int:
    """Run the scripts that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SCRIPT", help=", ".join(SCRIPTS))
    names = parser.parse_args().names or list(SCRIPTS)
    if not rabbitmq.is_installed():
        print(rabbitmq.INSTALL)
        return 2
    with BenchCluster(schedulers=1) as cluster, amqp_of(cluster) as ours, rabbitmq.RabbitMq() as r:
        count = wrong = 0
        met: set[tuple[str, str]] = set()
        for name in names:
            here, there = (_steps(name, port) for port in (ours, r.port))
            count += len(there)
            wrong += _compare(name, here, there, met)
    for name, part in sorted(set(intended.STEPS) - met):
        if name in names:
            wrong += 1
            print(f"{name}: {part}: no difference, although one is listed")
    print(f"{count} steps, {len(met)} intended differences, {wrong} others")
    return int(wrong > 0)


def _steps(name: str, port: int) -> list[Step]:
    session = Session(port, f"oracle-{name}-")
    try:
        SCRIPTS[name](session)
    finally:
        session.close()
    return session.steps


def _compare(
    name: str, ours: Sequence[Step], theirs: Sequence[Step], met: set[tuple[str, str]]
) -> int:
    """How many steps differ without being listed; `met`: entries of the list."""
    wrong = 0
    for number, (here, there) in enumerate(zip(ours, theirs, strict=True)):
        if intended.comparable(here.outcome) == intended.comparable(there.outcome):
            continue
        entry = intended.reason(name, there.label)
        if entry is None:
            wrong += 1
        else:
            met.add(entry)
        why = "" if entry is None else f" (intended: {intended.STEPS[entry]})"
        print(f"{name} {number}: {there.label}{why}")
        print(f"  RabbitMQ: {there.outcome}\n  Quorate:  {here.outcome}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
