"""A body that is small on the wire and large in memory is refused before it is either."""

import http.client
import json
import re
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fake_scheduler import FakeCluster, FakeServer
from tests.support.gateway import run_gateway

PATH = "/v1/queues/default/tasks:batchCreate"
MIB = 1 << 20


@pytest.fixture(scope="module")
def gateway():
    cluster = FakeCluster()
    FakeServer(cluster)
    with run_gateway([cluster.servers[0].address]) as gateway:
        yield gateway
    cluster.close()


class Neighbour:
    """A caller beside, from entering to leaving; the most memory that the gateway had by then."""

    def __init__(self, gateway):
        self.worst = 0.0
        self.peak = 0
        self._gateway = gateway
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *unused):
        self._stop.set()
        self._thread.join()
        self.peak = peak_bytes(self._gateway.pid)

    def _run(self):
        with closing(http.client.HTTPConnection(self._gateway.address, timeout=60)) as caller:
            while not self._stop.wait(0.005):
                start = time.monotonic()
                caller.request("GET", "/healthz")
                caller.getresponse().read()
                self.worst = max(self.worst, time.monotonic() - start)


def peak_bytes(pid):
    """The most memory that a process ever had, as the kernel noted it: no look can miss it."""
    status = Path(f"/proc/{pid}/status").read_text()
    (kib,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kib) * 1024


def post(gateway, body):
    with closing(http.client.HTTPConnection(gateway.address, timeout=60)) as caller:
        caller.request("POST", PATH, body, {"Content-Type": "application/json"})
        response = caller.getresponse()
        return response.status, json.loads(response.read())


@pytest.mark.parametrize("value", [b"{}", b"[]", b"0", b'{"a":0}'])
def test_a_body_of_very_many_values_is_refused_at_once(gateway, value):
    body = b'{"specs":[' + b",".join([value] * (20 * MIB // (len(value) + 1))) + b"]}"
    with Neighbour(gateway) as neighbour:
        status, problem = post(gateway, body)
    assert (status, problem["reason"]) == (400, "TOO_MANY_VALUES")
    assert neighbour.worst < 1.0
    assert neighbour.peak < 400 * MIB


def test_a_large_batch_is_read_beside_other_requests(gateway):
    labels = ",".join(f'"{letter}":"{letter}"' for letter in "abcdefghijklmnopqrst")
    spec = f'{{"command":{{"argv":["a"]}},"labels":{{{labels}}}}}'
    body = f'{{"specs":[{",".join([spec] * 10_000)}]}}'.encode()
    with Neighbour(gateway) as neighbour:
        status, answer = post(gateway, body)
    assert (status, len(answer["ids"])) == (200, 10_000)
    assert neighbour.worst < 1.0


def test_marks_within_strings_are_no_values(gateway):
    text = '[{,\\"' * 300_000
    status, problem = post(gateway, f'{{"specs":[{{"labels":{{"a":"{text}"}}}}]}}'.encode())
    assert problem.get("reason") != "TOO_MANY_VALUES", status
