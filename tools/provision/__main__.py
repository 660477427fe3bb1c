"""Gets what commands of the README need: `make` calls this.

    python -m tools.provision cluster    etcd and the dashboard, for `make demo`
    python -m tools.provision tests      what `make test` needs besides
    python -m tools.provision clients    the tool chains of `make clients`
    python -m tools.provision image      what builds the image of `make image`

Prints what it fetches and how large that is. Without etcd it ends with exit code 1. What else
cannot be had is a sentence, and the tests that need it are skipped; where `CI` is set nothing may
be skipped, and that is exit code 1 too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

from quorate.etcd.server.binary import provide_etcd
from quorate.runtime.errors import QuorateError
from quorate.runtime.process.debian_packages import Say
from tools.dashboard import build_ui
from tools.provision import chromium, needs, node, s3
from tools.provision.place import Missing, in_ci

_START = time.monotonic()


def _etcd(say: Say) -> str:
    etcd = provide_etcd(say)
    return f"etcd {etcd.version}"


def _chromium(say: Say) -> str:
    return f"Chromium ({chromium.provide(say)})"


def _dashboard(say: Say) -> None:
    try:
        if not build_ui.is_current():
            build_ui.build()
    except (build_ui.BuildFailed, OSError) as error:
        raise Missing(f"dashboard: not built; `make ui` builds it ({error})") from error


# What it returns is printed instead of its name.
Step = Callable[[Say], str | None]
GROUPS: dict[str, dict[str, Step]] = {
    "cluster": {"etcd": _etcd, "dashboard": _dashboard},
    "tests": {
        "node": node.provide,
        "Chromium": _chromium,
        **{need.name: partial(needs.provide, need) for need in needs.TESTS},
        "s3": s3.provide,
    },
    "clients": {
        "node": node.provide,
        **{need.name: partial(needs.provide, need) for need in needs.CLIENTS},
    },
    "image": {needs.IMAGE.name: partial(needs.provide, needs.IMAGE)},
}


def main(arguments: list[str] | None = None) -> int:
    """Provide the groups that are named; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.provision", description=__doc__)
    parser.add_argument("groups", nargs="+", choices=GROUPS)
    options = parser.parse_args(arguments)
    there, missing = [], []
    for name, step in _steps(options.groups).items():
        try:
            there.append(step(say) or name)
        except Missing as error:
            missing.append(str(error))
        except QuorateError as error:
            # Without etcd there is no cluster.
            print(f"quorate: {error.message}", file=sys.stderr)
            return 1
    print(f"There: {', '.join(there)}")
    if not missing:
        return 0
    for sentence in missing:
        print(f"Not there: {sentence}", file=sys.stderr)
    if in_ci():
        print("CI is set: nothing may be skipped", file=sys.stderr)
        return 1
    print(f"What needs these {len(missing)} is skipped", file=sys.stderr)
    return 0


def _steps(groups: list[str]) -> dict[str, Step]:
    return {name: step for group in groups for name, step in GROUPS[group].items()}


def say(line: str) -> None:
    """A line of progress, with the seconds since the start."""
    print(f"[{time.monotonic() - _START:3.0f} s] {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
