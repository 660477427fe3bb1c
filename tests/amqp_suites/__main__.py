"""`python -m tests.amqp_suites [SUITE...]`: run the tests of AMQP clients against Quorate.

Prints what does not pass, with the reason where `expected` has one, and a table. Exit code 1: a
test fails that is not listed, or a listed one passes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quorate.local.plan import LocalPlan
from tests.amqp_suites import expected
from tests.amqp_suites.sources import FOLDER, Missing, environment, source
from tests.amqp_suites.suites import SUITES, Suite
from tests.support.amqp import door_of
from tests.support.local import running

# Seconds of one test; and of a suite.
_TEST, _SUITE = 30, 1_800
_HERE = Path(__file__).parent


def main() -> int:
    """Run the suites that were named, or all; the exit code."""
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(prog="python -m tests.amqp_suites", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SUITE", help=", ".join(names))
    parser.add_argument(
        "--source", action="append", default=[], metavar="SUITE=FOLDER", help="sources to take"
    )
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="as pytest's -k")
    options = parser.parse_args()
    given = {name: Path(folder) for name, _, folder in (s.partition("=") for s in options.source)}
    wrong = 0
    try:
        python = environment()
        with _doors() as (port, tls_port):
            for suite in SUITES:
                if options.names and suite.name not in options.names:
                    continue
                try:
                    folder = source(suite, port, given.get(suite.name))
                except Missing as missing:
                    print(f"{suite.name}: not run: {missing}")
                    continue
                found = _run(suite, python, folder, (port, tls_port), options.k)
                wrong += _report(suite, found, complete=not options.k)
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 2
    return int(wrong > 0)


@contextmanager
def _doors() -> Iterator[tuple[int, int]]:
    """Ports of a broker, and of one with TLS. They take messages as large as they can."""
    os.environ["QUORATE_MAX_MESSAGE_KIB"] = "16384"
    with tempfile.TemporaryDirectory(prefix="quorate-") as name:
        plain = LocalPlan(
            data_dir=Path(name) / "plain", schedulers=1, nodes=1, gateway=True, amqp=True
        )
        tls = LocalPlan(
            data_dir=Path(name) / "tls", schedulers=1, nodes=1, gateway=True, amqp=True, tls=True
        )
        with running(plain) as one, running(tls) as other:
            yield door_of(one).port, int(other.amqp_address.rpartition(":")[2])


def _run(
    suite: Suite, python: Path, folder: Path, ports: tuple[int, int], only: str
) -> dict[str, tuple[str, str]]:
    """Outcome and message of each test."""
    report = FOLDER / f"{suite.name}.xml"
    report.unlink(missing_ok=True)
    command = [str(python), "-m", "pytest", "-q", "--tb=short", f"--timeout={_TEST}"]
    for plugin in suite.plugins:
        command += ["-p", plugin]
    command += ["-k", only] if only else []
    command += [f"--ignore={path}" for path in suite.left_out]
    port, tls_port = map(str, ports)
    log = FOLDER / f"{suite.name}.log"
    with log.open("wb") as output:
        subprocess.run(
            [*command, f"--junitxml={report}", *suite.paths],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=_SUITE,
            check=False,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join((str(folder), str(_HERE))),
                "RABBITMQ_HOST": "127.0.0.1",
                "RABBITMQ_5672_TCP": port,
                "AMQP_PORT": port,
                "AMQPS_PORT": tls_port,
            },
        )
    if not report.exists():
        raise Missing(f"the tests of {suite.name} do not run: see {log}")
    return dict(_outcomes(report))


def _outcomes(report: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    # Written by pytest, just now.
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        outcome, message = "passed", ""
        for child in case:
            if child.tag in ("failure", "error", "skipped"):
                outcome, message = child.tag, child.get("message", "")
        yield name, (outcome, message)


def _report(suite: Suite, found: dict[str, tuple[str, str]], *, complete: bool) -> int:
    """Print what does not pass; how many are not as expected."""
    wrong, met = 0, set()
    for name, (outcome, message) in found.items():
        why = expected.reason(suite.name, name)
        if outcome == "passed":
            continue
        met.add(name)
        if outcome != "skipped" and why is None:
            wrong += 1
        line = message.strip().splitlines()[0][:160] if message.strip() else ""
        print(f"{suite.name} {name}: {outcome}: {why or line}")
    for pattern in expected.NOT_PASSING[suite.name] if complete else ():
        if not any(expected.matches(pattern, name) for name in met):
            wrong += 1
            print(f"{suite.name} {pattern}: passes, although it is listed")
    counts = Counter(outcome for outcome, _ in found.values())
    failed = counts["failure"] + counts["error"]
    print(f"| {suite.name} | {counts['passed']} | {counts['skipped']} | {failed} |", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
