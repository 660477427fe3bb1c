"""Another user of this machine, who tries what a port lets anybody do. Run as a program by root.

    python -m tests.support.stranger UID, then one JSON object a line: {"do": "http", ...}

Everything is imported before it becomes that user, who may not be able to read this checkout.
It answers each line with a line of JSON.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from quorate.v1 import node_agent_pb2, node_agent_pb2_grpc, scheduler_pb2, scheduler_pb2_grpc

NOBODY = 65_534
_ROOT = Path(__file__).resolve().parents[2]


class Stranger:
    """A process of another user, asked from the tests'."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, do: str, **what: Any) -> Any:
        """What came of it."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, "the stranger's process has ended"
        return json.loads(line)


@contextmanager
def stranger(uid: int = NOBODY) -> Iterator[Stranger]:
    """Start one. Root only."""
    environment = {**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "0"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.stranger", str(uid)],
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Stranger(process)
        finally:
            process.kill()


def _http(port: int, text: str, *, hang_up: bool = False) -> str:
    """The answer to some bytes; `hang_up`: closed as soon as they are sent, before any answer."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(text.encode())
        if hang_up:
            return ""
        connection.settimeout(60)
        answer = b""
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except OSError:
            pass
        return answer.decode(errors="replace")


def _grpc(port: int, method: str) -> str:
    """The status of a call, and its details."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        scheduler: Any = scheduler_pb2_grpc.SchedulerStub(channel)
        agent: Any = node_agent_pb2_grpc.NodeAgentStub(channel)
        try:
            if method == "CreateTask":
                request = scheduler_pb2.CreateTaskRequest(queue="default")
                request.spec.command.argv.append("true")
                scheduler.CreateTask(request, timeout=60)
            elif method == "WatchTasks":
                next(iter(scheduler.WatchTasks(scheduler_pb2.WatchTasksRequest(), timeout=5)))
            elif method == "Session":
                hello = node_agent_pb2.Hello(instance="x")
                first = node_agent_pb2.SessionRequest(epoch=(1 << 63) - 1, hello=hello)
                next(iter(agent.Session(iter((first,)), timeout=60)))
            else:
                next(iter(agent.ReadLogs(node_agent_pb2.ReadLogsRequest(task_id="x"), timeout=5)))
        except grpc.RpcError as error:
            call: Any = error
            return f"{call.code().name}: {call.details()}"
        return "OK"


def _bind(port: int, option: str) -> str:
    """Whether it can listen in a process's place: the error, or OK."""
    with socket.socket() as server:
        if option:
            server.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        try:
            server.bind(("127.0.0.1", port))
            server.listen()
        except OSError as error:
            return error.strerror or "?"
        return "OK"


def _unix(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError as error:
            return error.strerror or "?"
        return "OK"


def _read(path: str) -> str:
    try:
        os.stat(path)
    except OSError as error:
        return error.strerror or "?"
    return "OK"


_DO: dict[str, Any] = {
    "http": _http,
    "grpc": _grpc,
    "bind": _bind,
    "unix": _unix,
    "read": _read,
}


def main() -> None:
    uid = int(sys.argv[1])
    # Loaded when it is needed first, by connecting, from where the stranger may not read.
    "x".encode("idna")
    for method in ("CreateTask", "WatchTasks", "Session"):
        _grpc(1, method)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    for line in sys.stdin:
        said = json.loads(line)
        sys.stdout.write(json.dumps(_DO[said.pop("do")](**said)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
