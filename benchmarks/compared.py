"""One side of `benchmarks.compare`: a cluster of whichever tree runs this, measured as asked.

Run by path: what it imports is the tree's own, so it uses only what every tree has. Asked on the
standard input, a line each (`latency N`, `throughput N`); answers are lines of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time

from benchmarks.cluster import BenchCluster
from benchmarks.load import durably, warm_up
from benchmarks.noop import noop


def main() -> None:
    """Answer until nothing more is asked."""
    # Inherited by the cluster's processes.
    os.nice(int(os.environ.get("QUORATE_BENCH_NICE", "0")))
    with BenchCluster() as cluster, cluster.client() as client:
        warm_up(cluster)
        for number, line in enumerate(sys.stdin):
            what, count = line.split()
            if what == "latency":
                took = []
                for _ in range(int(count)):
                    began = time.perf_counter()
                    client.submit(noop).result()
                    took.append((time.perf_counter() - began) * 1e3)
                answer: object = took
            else:
                answer = durably(cluster, f"round{number}", int(count))
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
