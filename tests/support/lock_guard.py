"""No cluster of a locked run is open: every service that was started is accounted for.

    tripwire/sitecustomize.py     writes down each scheduler, agent and gateway, whoever started it
    lock_probe.py                 a process that knocks at each while it lives, as strangers do
    LockGuard                     at the end of each test file: every one is proved, or in PLAIN

A process is proved when a probe of it, or of another one with the same security flags (a standby,
a successor), was refused everything that it had to be refused. One answered call that should not
have been fails the file; so does a process of whose flags no probe was ever proved.

Plaintext by their nature, and therefore no services here: `--health-listen` (metrics and probes),
the replicas and outside services behind the proxy, the collector of spans, and the fake etcd that
says it is of a forbidden version.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
TRIPWIRE = Path(__file__).parent / "tripwire"

# The one list of processes that are plaintext in a locked run, by what QUORATE_TEST_PLAIN is for
# them, and why.
PLAIN = {
    "refuses to start": "test_bad_input_processes: it is given input with which it must end "
    "before it serves anybody, and the test sees that it does",
}

# What decides who is let in; a certificate of its own is there or not, whosever it is.
_SECURITY = (
    *("--tls-ca-file", "--tls-client-auth", "--insecure", "--auth", "--auth-tokens-file"),
    *("--scheduler-tls-ca-file", "--etcd-ca-file", "--token-file"),
)
_OWN = ("--tls-cert-file", "--scheduler-tls-cert-file", "--etcd-cert-file")
_DEMANDED = {
    "scheduler": ("--tls-ca-file", "--tls-cert-file", "--auth-tokens-file", "--etcd-cert-file"),
    "node_agent": ("--tls-ca-file", "--tls-cert-file", "--etcd-cert-file"),
    "gateway": ("--tls-cert-file", "--scheduler-tls-cert-file", "--auth"),
}
# Seconds that the probes have, behind a file, for what still lives.
_PATIENCE = 60.0
_LOOK = 0.05
_RESULTS = "probed"


@dataclass(frozen=True, slots=True)
class Started:
    """One service process, as its command line describes it."""

    module: str
    pid: int
    flags: dict[str, str]
    plain: str

    @classmethod
    def of(cls, line: str) -> Started:
        said = json.loads(line)
        return cls(said["module"], said["pid"], _read(said["flags"]), said["plain"])

    @property
    def open_by_flags(self) -> str:
        """What its flags lack; empty when nothing."""
        lacking = [flag for flag in _DEMANDED[self.module] if flag not in self.flags]
        return f"has no {', '.join(lacking)}" if lacking else ""

    @property
    def shape(self) -> str:
        """Its security flags: the same for all processes that are locked alike.

        Files are named by where they are in their cluster's folder.
        """
        base = Path(self.flags.get("--tls-ca-file", "/none/none")).parent
        if base.name == "certs":
            base = base.parent
        words = [self.module, *(flag for flag in _OWN if flag in self.flags)]
        words += [f"{flag}={self.flags[flag]}" for flag in _SECURITY if flag in self.flags]
        return " ".join(words).replace(f"{base}/", "")

    def __str__(self) -> str:
        return f"{self.shape} ({' '.join(f'{k}={v}' for k, v in self.flags.items())})"


def _read(words: Sequence[str]) -> dict[str, str]:
    """`--flag value`, `--flag=value` and `--flag`."""
    flags: dict[str, str] = {}
    for word in words:
        if word.startswith("--"):
            name, _, value = word.partition("=")
            flags[name] = value
        elif flags:
            flags[next(reversed(flags))] = word
    return flags


class LockGuard:
    """Owns the probing process, from entering to leaving; one for each process that runs tests."""

    def __init__(self, folder: Path) -> None:
        self.record = folder / "started"
        self.results = folder / _RESULTS
        self.record.touch()
        self.results.touch()
        self._seen = 0
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        files = (str(self.record), str(self.results))
        command = [sys.executable, "-m", "tests.support.lock_probe", *files]
        with self._log.open("ab") as log:
            # It ends when its standard input does.
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def check(self) -> None:
        """Everything that was started since the last check. Raises AssertionError."""
        lines = self.record.read_text().splitlines()
        new, self._seen = lines[self._seen :], len(lines)
        services = [one for one in map(Started.of, new) if one.plain not in PLAIN]
        for one in services:
            assert not one.open_by_flags, f"a locked run started an open service: {one} " + (
                one.open_by_flags
            )
        end = time.monotonic() + _PATIENCE
        while True:
            assert self._process is not None
            assert self._process.poll() is None, f"the probe ended: {self._log.read_text()}"
            # Before the results are read: what ends now may have been proved a moment ago.
            alive = {one.shape for one in services if os.path.exists(f"/proc/{one.pid}")}
            proved, faults = self._read_results()
            assert not faults, f"a locked run has an open door: {faults}"
            missing = {one.shape: one for one in services if one.shape not in proved}
            if not missing:
                return
            if time.monotonic() > end or not missing.keys() & alive:
                raise AssertionError(
                    f"never proved to be locked: {[str(one) for one in missing.values()]}; "
                    f"{self._log.read_text()[-2000:]}"
                )
            time.sleep(_LOOK)

    def _read_results(self) -> tuple[set[str], list[str]]:
        return _read_results(self.results)


def let_prove(seconds: float = 20.0) -> None:
    """In a locked run: wait until what lives is proved, so that a short test does not end it first.

    Whether it is proved is for `LockGuard.check` to say.
    """
    if "QUORATE_TEST_STARTED" not in os.environ:
        return
    record = Path(os.environ["QUORATE_TEST_STARTED"])
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        services = [Started.of(line) for line in record.read_text().splitlines()]
        alive = {one.shape for one in services if os.path.exists(f"/proc/{one.pid}")}
        if alive <= _read_results(record.with_name(_RESULTS))[0]:
            return
        time.sleep(_LOOK)


def _read_results(results: Path) -> tuple[set[str], list[str]]:
    """The shapes that are proved, and what is open."""
    found = [json.loads(line) for line in results.read_text().splitlines()]
    return (
        {one["shape"] for one in found if not one["fault"]},
        [f"{one['shape']}: {one['fault']}" for one in found if one["fault"]],
    )
