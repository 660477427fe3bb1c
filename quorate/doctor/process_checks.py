"""Each process by its health port: does it live, is it ready, does its clock agree with ours."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from quorate.doctor.finding import Finding, failure, ok, warning

# Seconds that a clock may differ: certificates and tokens have minutes to spare, people who
# compare logs do not.
SKEW: Final = 0.5
TOO_MUCH_SKEW: Final = 30.0
_TIMEOUT: Final = 3.0
_MOST_BYTES: Final = 64 << 10
# A probe goes where it was sent, whatever proxy the environment names.
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Process:
    """A process and the host:port of its health."""

    name: str
    health: str


async def check_processes(processes: Sequence[Process]) -> list[Finding]:
    """Look at each."""
    found = await asyncio.gather(*(asyncio.to_thread(_check, process) for process in processes))
    return [finding for findings in found for finding in findings]


def _check(process: Process) -> list[Finding]:
    try:
        began = time.time()
        _, body = _get(process.health, "/livez")
        ended = time.time()
        theirs = float(json.loads(body)["time"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [
            failure(
                process.name,
                f"its health port {process.health} does not answer: {error}",
                "is the process running, with this --health-listen?",
            )
        ]
    findings = [judge_clock(process.name, theirs, began, ended)]
    try:
        status, body = _get(process.health, "/readyz")
    except OSError as error:
        status, body = 0, str(error).encode()
    if status == 200:
        findings.append(ok(process.name, "ready"))
    else:
        findings.append(
            failure(process.name, f"not ready: {_why(body)}", "its log says what it waits for")
        )
    return findings


def _get(address: str, path: str) -> tuple[int, bytes]:
    try:
        with closing(_OPENER.open(f"http://{address}{path}", timeout=_TIMEOUT)) as answer:
            return answer.status, answer.read(_MOST_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(_MOST_BYTES)


def _why(body: bytes) -> str:
    try:
        return str(json.loads(body)["why"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def judge_clock(name: str, theirs: float, began: float, ended: float) -> Finding:
    """What a clock says that was read between `began` and `ended`, all of them wall time.

    Only a difference that the time of the request cannot explain counts.
    """
    if theirs < began:
        skew = theirs - began
    elif theirs > ended:
        skew = theirs - ended
    else:
        skew = 0.0
    if abs(skew) <= SKEW:
        return ok(name, f"clock agrees with this machine's (within {SKEW:g} s)")
    text = f"its clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
    advice = "have NTP (chrony, systemd-timesyncd) set both clocks"
    if abs(skew) > TOO_MUCH_SKEW:
        return failure(name, text, f"{advice}; tokens and certificates are refused meanwhile")
    return warning(name, text, advice)
