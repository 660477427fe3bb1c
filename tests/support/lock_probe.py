"""Knocks at every service of a locked run as strangers do: `python -m tests.support.lock_probe`.

A process of its own, so that the tests' event loops and times are their own. It reads what the
tripwire writes, and appends one line for each process that it got an answer of: proved, or what
was open. What cannot be reached (not there yet, stopped, killed meanwhile) is tried again for as
long as the process lives, and proves nothing. Ends with its standard input.
"""

from __future__ import annotations

import datetime as dt
import http.client
import json
import os
import select
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import grpc
import psutil

from quorate.security.tls.certs import LOOPBACK, Authority
from tests.support.lock_guard import Started

_LOOK = 0.05
_CALL = 5.0
_BAD_TOKEN = "qrt_0123456789abcdef_" + "A" * 43
_CODE = grpc.StatusCode
# No answer of a guard: nobody is there, or no longer (who ends cancels the calls it has).
_UNANSWERED = (_CODE.UNAVAILABLE, _CODE.DEADLINE_EXCEEDED, _CODE.CANCELLED)
_NO_ONE, _VIEWER = "client:guard", "viewer:guard"


class Inconclusive(Exception):
    """It could not be asked."""


class Stranger:
    """Credentials of one cluster's authority, and of another one."""

    def __init__(self, ca: Path) -> None:
        now = dt.datetime.now(dt.UTC)
        self.ca = ca
        self.root = ca.read_bytes()
        mine = Authority.load(ca.parent)
        other = Authority.create("guard", now=now, days=1)
        self._pems = {
            name: authority.issue(name.rpartition(" ")[2], hosts=LOOPBACK, now=now, days=1)
            for name, authority in (
                (_NO_ONE, mine),
                (_VIEWER, mine),
                (f"foreign {_VIEWER}", other),
            )
        }

    def channel(self, address: str, shows: str | None) -> grpc.Channel:
        """Plaintext for None, no certificate for an empty name."""
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
        if shows is None:
            return grpc.insecure_channel(address, options)
        pem = self._pems.get(shows)
        credentials = grpc.ssl_channel_credentials(
            self.root, pem.key if pem else None, pem.cert if pem else None
        )
        return grpc.secure_channel(address, credentials, options)

    def code(self, address: str, shows: str | None, path: str, token: str = "") -> grpc.StatusCode:
        """What an empty message to this method is answered."""
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        with self.channel(address, shows) as channel:
            try:
                channel.unary_unary(path, bytes, bytes)(b"", timeout=_CALL, metadata=metadata)
            except grpc.RpcError as error:
                code: grpc.StatusCode = error.code()
                return code
        return _CODE.OK


def _grpc_doors(
    stranger: Stranger,
    address: str,
    *,
    alive: str,
    doors: tuple[tuple[str, str, str, set[str]], ...],
) -> None:
    """Raises AssertionError for one that is open.

    Args:
        alive: a method that answers whoever may connect, and so tells "refused" from "not there".
        doors: certificate, token, method and the codes that are right.
    """

    def answers() -> None:
        if stranger.code(address, _NO_ONE, alive) in _UNANSWERED:
            raise Inconclusive

    answers()
    for shows, what in (
        (None, "a plaintext call"),
        ("", "a call without a certificate"),
        (f"foreign {_VIEWER}", "a call with a certificate of another authority"),
    ):
        code = stranger.code(address, shows, alive)
        if code in (_CODE.DEADLINE_EXCEEDED, _CODE.CANCELLED):
            raise Inconclusive
        assert code is _CODE.UNAVAILABLE, f"{what} was answered {code}"
    for shows, token, method, right in doors:
        code = stranger.code(address, shows, method, token)
        if code in _UNANSWERED:
            raise Inconclusive
        said = f"{method} by {shows} with {'a bad' if token else 'no'} token was answered {code}"
        assert code.name in right, said
    answers()


_HEALTH = "/grpc.health.v1.Health/Check"
_SCHEDULER = "/quorate.v1.Scheduler/"
_AGENT = "/quorate.v1.NodeAgent/"
_UNKNOWN, _FORBIDDEN = {"UNAUTHENTICATED"}, {"PERMISSION_DENIED"}


def probe_scheduler(stranger: Stranger, one: Started, address: str) -> None:
    _grpc_doors(
        stranger,
        address,
        alive=_HEALTH,
        doors=(
            (_NO_ONE, "", f"{_SCHEDULER}GetCluster", _UNKNOWN),
            (_NO_ONE, "", f"{_SCHEDULER}CreateTask", _UNKNOWN),
            (_NO_ONE, _BAD_TOKEN, f"{_SCHEDULER}GetCluster", _UNKNOWN),
            (_VIEWER, "", f"{_SCHEDULER}CreateTask", _FORBIDDEN),
            (_VIEWER, _BAD_TOKEN, f"{_SCHEDULER}GetCluster", _UNKNOWN),
        ),
    )


def probe_agent(stranger: Stranger, one: Started, address: str) -> None:
    _grpc_doors(
        stranger,
        address,
        alive=_HEALTH,
        doors=(
            (_NO_ONE, "", f"{_AGENT}Session", _UNKNOWN),
            (_NO_ONE, "", f"{_AGENT}ReadLogs", _UNKNOWN),
            (_VIEWER, "", f"{_AGENT}Session", _FORBIDDEN),
            (_VIEWER, "", f"{_AGENT}ReadLogs", _FORBIDDEN),
        ),
    )


def probe_etcd(stranger: Stranger, address: str) -> None:
    _grpc_doors(stranger, address, alive="/etcdserverpb.Maintenance/Status", doors=())


def probe_gateway(stranger: Stranger, one: Started, address: str) -> None:
    path = one.flags.get("--root-path", "") + "/v1/cluster"
    context = ssl.create_default_context(cafile=str(stranger.ca))

    def status(token: str = "") -> int:
        connection = http.client.HTTPSConnection(address, timeout=_CALL, context=context)
        with closing(connection):
            connection.request(
                "GET", path, headers={"Authorization": f"Bearer {token}"} if token else {}
            )
            return connection.getresponse().status

    try:
        codes = status(), status(_BAD_TOKEN)
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), _CALL) as plain:
            plain.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
            try:
                answer = plain.recv(64)
            except ConnectionResetError:
                answer = b""
        status()
    except (OSError, http.client.HTTPException) as error:
        raise Inconclusive from error
    # A leader may be missing for the moment: then nobody can say whose the bad token is.
    assert codes[0] == 401, f"no token was answered {codes[0]}"
    assert codes[1] in (401, 503), f"a bad token was answered {codes[1]}"
    if codes[1] == 503:
        raise Inconclusive
    assert not answer.startswith(b"HTTP/"), f"plaintext HTTP was answered {answer!r}"


PROBES: dict[str, Callable[[Stranger, Started, str], None]] = {
    "scheduler": probe_scheduler,
    "node_agent": probe_agent,
    "gateway": probe_gateway,
}


def address_of(one: Started) -> str:
    """Where it listens; empty while it does not."""
    listen = one.flags.get("--listen", "")
    if not listen.endswith(":0"):
        return listen
    others = [
        one.flags.get(flag, "").rpartition(":")[2]
        for flag in ("--health-listen", "--amqp", "--amqp-management")
    ]
    for connection in psutil.Process(one.pid).net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and str(connection.laddr[1]) not in others:
            return f"127.0.0.1:{connection.laddr[1]}"
    return ""


class Prober:
    """What is to be probed yet, and what was."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._waiting: list[Started] = []
        self._strangers: dict[str, Stranger] = {}
        self._etcds: set[str] = set()

    def add(self, one: Started) -> None:
        if not one.plain and not one.open_by_flags:
            self._waiting.append(one)

    def look(self) -> None:
        """Once over all that wait."""
        for one in list(self._waiting):
            try:
                address = address_of(one)
                if not address or not psutil.pid_exists(one.pid):
                    raise Inconclusive
                stranger = self._stranger(one)
                PROBES[one.module](stranger, one, address)
                self._probe_etcds(one)
            except (Inconclusive, psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
                if not psutil.pid_exists(one.pid):
                    self._waiting.remove(one)
            except AssertionError as fault:
                self._tell(one, str(fault))
            else:
                self._tell(one, "")

    def _stranger(self, one: Started) -> Stranger:
        ca = one.flags["--tls-ca-file"]
        if ca not in self._strangers:
            self._strangers[ca] = Stranger(Path(ca))
        return self._strangers[ca]

    def _probe_etcds(self, one: Started) -> None:
        """Each member once; one that is down proves nothing and is left."""
        for address in one.flags.get("--etcd", "").split(","):
            if not address or address in self._etcds:
                continue
            ca = one.flags["--etcd-ca-file"]
            if ca not in self._strangers:
                self._strangers[ca] = Stranger(Path(ca))
            try:
                probe_etcd(self._strangers[ca], address)
            except AssertionError as fault:
                raise AssertionError(f"etcd at {address}: {fault}") from None
            self._etcds.add(address)

    def _tell(self, one: Started, fault: str) -> None:
        self._waiting.remove(one)
        with self._results.open("a") as file:
            line = {"shape": one.shape, "pid": one.pid, "fault": fault and f"{fault}: {one}"}
            file.write(json.dumps(line) + "\n")


def _new_lines(path: Path) -> Iterator[str]:
    """Whole lines that were appended since the last call."""
    with path.open() as file:
        while True:
            line = file.readline()
            if line.endswith("\n"):
                yield line
            else:
                file.seek(file.tell() - len(line))
                yield ""


def main() -> None:
    record, results = map(Path, sys.argv[1:3])
    prober = Prober(results)
    lines = _new_lines(record)
    while True:
        while line := next(lines):
            prober.add(Started.of(line))
        prober.look()
        if select.select([sys.stdin], [], [], _LOOK)[0] and not os.read(0, 1):
            return


if __name__ == "__main__":
    main()
