"""schemathesis against the served OpenAPI document, on a real cluster.

Every operation, with examples, random data and stateful sequences: no server error, no answer that
the document does not describe, no request accepted that it forbids. `make fuzz` also tries the
boundary values of every field, and more random data: that takes minutes.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from quorate.etcd.server.launcher import EtcdProcess
from tests.support.gateway import GatewayProcess, run_gateway
from tests.support.served import serve
from tests.support.server import until
from tests.support.tls import client_headers
from tools.gateway_http import https_context

# Bounds that proto comments state (and services enforce) are no part of the schemas, so a request
# that fits its schema may still get 400; tags and ids are made up, so it may get 404 or 412.
CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = [
  "2xx", "304", "400", "404", "409", "412", "429",
]
"""
# Nothing about this one can be wrong but its headers, and HTTP lets anybody add one that nobody
# knows: that it is accepted is no fault.
NO_PARAMETERS = """
[[operations]]
include-name = "GET /v1/cluster"
[operations.checks]
negative_data_rejection.enabled = false
"""
# Set by `make fuzz`.
MORE = bool(os.environ.get("QUORATE_TEST_FUZZ"))
PHASES = "examples,coverage,fuzzing,stateful" if MORE else "examples,fuzzing,stateful"
EXAMPLES = "25" if MORE else "4"
SECONDS = 3_600 if MORE else 540
HOOKS = '''
import json
import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """Watches go on for as long as they may: short ones, unless what is sent is to be refused."""
    if not case.operation.path.endswith(":watch"):
        return
    name = next((n for n in case.headers if n.lower() == "x-request-timeout"), "X-Request-Timeout")
    try:
        valid = float(case.headers.get(name, 1)) >= 0.001
    except (TypeError, ValueError):
        valid = False
    if valid:
        case.headers[name] = "0.4"


@schemathesis.deserializer("application/x-ndjson")
def ndjson(context, response):
    """The last line: what the document describes is one line. A stream may have none."""
    return json.loads((response.content.splitlines() or [b"{}"])[-1])
'''


@pytest.fixture(scope="module")
def gateway(etcd_server: EtcdProcess):
    with (
        serve(etcd_server.endpoint, nodes=1) as cluster,
        run_gateway([cluster.address]) as process,
    ):
        yield process


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess):
    verify = https_context(gateway.tls) or True
    with httpx.Client(base_url=gateway.url, headers=client_headers(), verify=verify) as client:
        yield client


def schemathesis(gateway: GatewayProcess, folder: Path, config: str, *arguments: str) -> str:
    """What a run printed, which found no fault."""
    (folder / "schemathesis.toml").write_text(config)
    (folder / "hooks.py").write_text(HOOKS)
    ca = {"REQUESTS_CA_BUNDLE": gateway.tls.ca_file} if gateway.tls else {}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"),
            *("run", f"{gateway.url}/openapi.json", "--no-color", "--seed", "20261121"),
            *("--header", "X-Request-Timeout: 1", "--request-timeout", "20"),
            *(f"--header={name}: {value}" for name, value in client_headers().items()),
            *("--generation-database", "none", *arguments),
        ],
        cwd=folder,
        env={**os.environ, **ca, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_a_node_that_measures_itself_meanwhile_is_cordoned_once(client):
    node = client.get("/v1/nodes").json()["nodes"][0]["name"]
    path = f"/v1/nodes/{node}"
    before = client.get(path)
    fresh = {"If-Match": before.headers["etag"]}
    known = {"If-None-Match": before.headers["etag"]}
    await until(lambda: client.get(path, headers=known).status_code == 200, "new figures", 30)
    assert client.post(f"{path}:cordon", headers=fresh).status_code == 200
    assert client.post(f"{path}:cordon", headers=fresh).status_code == 412
    assert client.post(f"{path}:uncordon").status_code == 200


@pytest.mark.timeout(SECONDS + 60)
def test_every_operation_is_as_the_document_says(gateway, client, tmp_path):
    paths = client.get("/openapi.json").json()["paths"]
    count = sum(len(item) for item in paths.values())
    phases = ("--phases", PHASES, "--max-examples", EXAMPLES)
    printed = schemathesis(gateway, tmp_path, CONFIG + NO_PARAMETERS, *phases)
    assert f"Tested: {count}" in printed


def test_operations_on_a_task_that_exists_are_as_the_document_says(gateway, client, tmp_path):
    # It waits, so that it stays what it is while it is asked about.
    later = datetime.now(UTC) + timedelta(days=1)
    spec = {"command": {"argv": ["true"]}, "notBefore": later.isoformat()}
    created = client.post("/v1/queues/default/tasks", json={"spec": spec})
    task = created.json()["task"]["id"]
    config = f'[parameters]\n"path.id" = "{task}"\n{CONFIG}'
    only = ("--include-path-regex", "tasks/{id}", "--exclude-method", "DELETE")
    few = ("--phases", "fuzzing", "--max-examples", "10")
    schemathesis(gateway, tmp_path, config, *only, *few)
    assert client.get(f"/v1/tasks/{task}").json()["task"]["id"] == task
