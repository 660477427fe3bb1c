"""A caller that has nothing of the project but generated stubs, of whatever release.

    python -I stub_client.py <stubs> <plain|fill> <address>...

One task after the other: submit it, under a request id that is kept while the outcome is unknown;
wait for it; say `{"n", "id", "json"}` on standard output; submit the first one again, which must be
answered with its first id, by whichever scheduler leads. Ends with 0 when standard input is closed;
with a traceback at anything but UNAVAILABLE. `fill` sets the fields that the next release added.
"""

from __future__ import annotations

import faulthandler
import itertools
import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import grpc

FIELD = "next_release_note"
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_PATIENCE = 60.0
_PAUSE = 0.04
# Seconds that it has to end.
_LONG = 40.0


def channel(address: str) -> grpc.Channel:
    """With the certificates and the token that the environment names, or in plaintext."""
    options = (
        ("grpc.initial_reconnect_backoff_ms", 20),
        ("grpc.min_reconnect_backoff_ms", 500),
        ("grpc.max_reconnect_backoff_ms", 100),
    )
    if "QUORATE_TLS_CA_FILE" not in os.environ:
        return grpc.insecure_channel(address, options)
    ca, key, cert, token = (
        Path(os.environ[f"QUORATE_{name}_FILE"]).read_bytes()
        for name in ("TLS_CA", "TLS_KEY", "TLS_CERT", "TOKEN")
    )
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(ca, key, cert),
        grpc.access_token_call_credentials(token.decode().strip()),
    )
    return grpc.secure_channel(address, credentials, options)


class Caller:
    """Calls any of some schedulers, and another one while the outcome is unknown."""

    def __init__(self, addresses: list[str], stub_class: Any) -> None:
        self._stubs = itertools.cycle([stub_class(channel(address)) for address in addresses])
        self._stub = next(self._stubs)

    def call(self, method: str, request: Any) -> Any:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return getattr(self._stub, method)(request, timeout=3.0)
            except grpc.RpcError as error:
                if error.code() not in _AGAIN or time.monotonic() > deadline:
                    raise
            self._stub = next(self._stubs)
            time.sleep(_PAUSE)


def main() -> None:
    stubs, mode, *addresses = sys.argv[1:]
    sys.path.insert(0, stubs)
    from quorate.v1 import scheduler_pb2 as pb
    from quorate.v1 import scheduler_pb2_grpc, task_pb2

    assert str(pb.__file__).startswith(stubs), pb.__file__
    closed = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        # Whoever waits for the end of this process sees what keeps it.
        faulthandler.dump_traceback_later(_LONG)
        closed.set()

    threading.Thread(target=listen, daemon=True).start()
    caller = Caller(addresses, scheduler_pb2_grpc.SchedulerStub)
    first: tuple[Any, str] | None = None
    for n in itertools.count():
        work = task_pb2.PythonWork(entrypoint="operator:mul", json=f"[{n}, 7]")
        request = pb.CreateTaskRequest(
            spec=task_pb2.TaskSpec(python=work, retry=task_pb2.RetryPolicy(crash_limit=100)),
            request_id=uuid.uuid4().hex,
        )
        if mode == "fill":
            for message in (request, request.spec, request.spec.python, request.spec.retry):
                setattr(message, FIELD, "of the next release")
        made = caller.call("CreateTask", request).task.id
        wait = pb.WaitTaskRequest(id=made)
        wait.timeout.FromMilliseconds(2_000)
        while not (task := caller.call("WaitTask", wait).task).HasField("finish_time"):
            pass
        assert task.state == task_pb2.TASK_STATE_SUCCEEDED, task
        first = first or (request, made)
        again = caller.call("CreateTask", first[0]).task.id
        assert again == first[1], f"{first[1]} was submitted again, and is {again}"
        sys.stdout.write(json.dumps({"n": n, "id": made, "json": task.result.json}) + "\n")
        sys.stdout.flush()
        if closed.wait(_PAUSE):
            return


if __name__ == "__main__":
    main()
