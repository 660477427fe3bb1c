"""Calls a web API for several tenants, never more often than it allows, and in fair shares.

    quorate limit create weather-api --rate 40/s
    quorate queue create weather
    python examples/rate_limited_api/forecasts.py URL --calls big=60 --calls small=10

`URL` is the address that weather_api.py prints. The calls of the first tenant are submitted first;
the fairness key lets those of the others start in between all the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from collections import Counter
from typing import Any
from urllib.parse import urlencode

import quorate

LIMIT = "weather-api"
QUEUE = "weather"


def forecast(url: str, tenant: str, city: str) -> int:
    """Degrees in a city. An answer of 429 is an HTTPError, and the task fails."""
    query = urlencode({"city": city, "tenant": tenant})
    return int(fetched(f"{url}/forecast?{query}")["degrees"])


def fetched(url: str) -> Any:
    """The JSON document at an address."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def tenants_of(texts: list[str]) -> dict[str, int]:
    """`name=number` as names and numbers."""
    return {name: int(number) for name, _, number in (text.partition("=") for text in texts)}


def main(arguments: list[str] | None = None) -> int:
    """Submit the calls, wait for them, say what the API saw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--calls", action="append", metavar="TENANT=NUMBER")
    options = parser.parse_args(arguments)
    calls = tenants_of(options.calls or ["big=60", "small=10", "tiny=10"])
    with quorate.Client() as client:
        handles = []
        for tenant, count in calls.items():
            # The limit is of the API, so it is shared by every queue whose tasks call it. The
            # fairness key says whose turn it is when the limit allows one more call.
            limited = client.options(queue=QUEUE, limits=[LIMIT], fairness_key=tenant)
            cities = [(options.url, tenant, f"{tenant}-{number}") for number in range(count)]
            handles += limited.submit_many(forecast, cities)
        degrees = [handle.result() for handle in handles]
    print(f"{len(degrees)} forecasts, {sum(degrees) / len(degrees):.1f} degrees on average")
    seen = fetched(f"{options.url}/statistics")
    print(f"answers with status 429: {seen['refused']}")
    # While every tenant still has calls to make.
    early = seen["tenants"][: len(calls) * min(calls.values())]
    counts = Counter(early)
    for tenant in calls:
        share = counts[tenant] / len(early)
        print(f"{tenant}: {calls[tenant]} calls, {share:.0%} of the first {len(early)}")
    return 1 if seen["refused"] else 0


if __name__ == "__main__":
    sys.exit(main())
