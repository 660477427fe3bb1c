"""Careful HTTP clients of two gateways: each request is repeated with its key until answered.

A client asks one gateway and, when the connection breaks or the answer is 503, the next one with
the same `Idempotency-Key`. Whatever else is answered is a fault. What was answered 200 is in
`tasks`: which task each key got.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.support.tls import client_headers, open_http

# Seconds: of one answer, and until a client gives up, which fails the test.
_TRY = 10.0
_PATIENCE = 60.0
_EVERY = 0.01
_BATCH = 4


@dataclass
class Figures:
    """What the clients saw; latencies in seconds, from the first try to the answer."""

    requests: int = 0
    retries: int = 0
    latencies: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        ordered = sorted(self.latencies)
        p99 = ordered[len(ordered) * 99 // 100]
        return (
            f"{self.requests} requests, {self.retries} retries, "
            f"p99 {p99 * 1e3:.0f} ms, worst {ordered[-1] * 1e3:.0f} ms"
        )


class RestLoad:
    """Clients, a thread each, that create tasks from entering to leaving.

    Args:
        addresses: of the gateways; the caller replaces one whose process was replaced.
        spec: of each task, as JSON.
    """

    def __init__(self, addresses: list[str], spec: dict[str, Any], *, clients: int) -> None:
        self.figures = Figures()
        self.tasks: dict[str, list[str]] = {}
        self.failures: list[str] = []
        self._addresses = addresses
        self._spec = spec
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"client {number}")
            for number in range(clients)
        ]

    def __enter__(self) -> RestLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def answered(self) -> int:
        """Requests so far."""
        with self._lock:
            return self.figures.requests

    def again(self, key: str, address: str) -> list[str]:
        """Repeat a request that was answered; what it is answered now."""
        client = _Client([address], 0)
        try:
            spec = {**self._spec, "labels": {"key": key}}
            return client.create(spec, key, len(self.tasks[key]))[0]
        finally:
            client.close()

    def _run(self, number: int) -> None:
        client = _Client(self._addresses, number)
        count = 0
        try:
            while not self._stop.is_set() and not self.failures:
                count += 1
                key = uuid.uuid4().hex
                spec = {**self._spec, "labels": {"key": key}}
                start = time.monotonic()
                ids, retries = client.create(spec, key, 1 if count % 5 else _BATCH)
                took = time.monotonic() - start
                with self._lock:
                    self.tasks[key] = ids
                    self.figures.requests += 1
                    self.figures.retries += retries
                    self.figures.latencies.append(took)
                self._stop.wait(_EVERY)
        except (AssertionError, KeyError, ValueError) as error:
            # Told by the test, which runs in another thread.
            self.failures.append(f"{type(error).__name__}: {error}")
        finally:
            client.close()


class _Client:
    """One keep-alive connection, to whichever gateway answered last."""

    def __init__(self, addresses: list[str], turn: int) -> None:
        self._addresses = addresses
        self._turn = turn
        self._connection: http.client.HTTPConnection | None = None

    def create(self, spec: dict[str, Any], key: str, count: int) -> tuple[list[str], int]:
        """The ids of so many new tasks, and how often the request was repeated."""
        path = "/v1/queues/default/tasks"
        body: dict[str, Any] = {"spec": spec}
        if count > 1:
            path, body = f"{path}:batchCreate", {"specs": [spec] * count}
        answer, retries = self._post(path, body, key)
        return answer["ids"] if "ids" in answer else [answer["task"]["id"]], retries

    def _post(self, path: str, body: dict[str, Any], key: str) -> tuple[Any, int]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, **client_headers()}
        content = json.dumps(body)
        deadline = time.monotonic() + _PATIENCE
        retries = 0
        while True:
            try:
                if self._connection is None:
                    address = self._addresses[self._turn % len(self._addresses)]
                    self._connection = open_http(address, _TRY)
                self._connection.request("POST", path, content, headers)
                response = self._connection.getresponse()
                answer = json.loads(response.read())
                if response.status == 200:
                    return answer, retries
                why = f"{response.status} {answer}"
                assert response.status == 503, why
            except (OSError, http.client.HTTPException) as error:
                why = repr(error)
            assert time.monotonic() < deadline, f"{key} was not answered: {why}"
            self.close()
            self._turn += 1
            retries += 1
            threading.Event().wait(0.01)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def list_tasks(address: str) -> list[dict[str, Any]]:
    """Every task, page by page."""
    connection = open_http(address)
    tasks: list[dict[str, Any]] = []
    token = ""
    try:
        while True:
            path = f"/v1/tasks?pageSize=1000&pageToken={token}"
            connection.request("GET", path, headers=client_headers())
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert response.status == 200, answer
            tasks += answer.get("tasks", ())
            token = answer.get("nextPageToken", "")
            if not token:
                return tasks
    finally:
        connection.close()
