"""Every REST route of /openapi.json, and /v1/live, with every credential that must not do.

As `test_auth_every_rpc`, nothing here names a route: one that is added is tried. The gateway has no
policy of its own, so that most of these answers are a scheduler's.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from google.protobuf.descriptor import MethodDescriptor
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.app import PARTS
from gateway.auth.credentials import Access
from gateway.cluster.calls import Upstream
from gateway.component import Context
from gateway.config import GatewaySettings
from gateway.pages import FOLDER, read_pages
from gateway.proxy.component import proxy_part
from gateway.proxy.options import ProxyOptions
from gateway.proxy.proxy import Proxy
from gateway.rest.routes import RestRoute
from quorate.security.identity import CERTIFICATE_ONLY, Role
from quorate.security.permissions import Rule, rule_of
from quorate.security.policy import holds
from quorate.v1 import broker_pb2, scheduler_pb2, service_pb2
from tests.support.auth import FOREIGN, Locked, locked

RPCS: dict[str, MethodDescriptor] = {
    method.name: method
    for file in (scheduler_pb2, service_pb2, broker_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    # HTTP has no requests that are a stream.
    if not method.client_streaming
}


@pytest.fixture(scope="module")
def cluster(etcd_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with locked(etcd_server.endpoint, tmp_path_factory.mktemp("locked")) as started:
        yield started


@dataclass(frozen=True)
class Asked:
    """One route."""

    verb: str
    path: str
    rpc: MethodDescriptor
    rule: Rule

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


def trusting(cluster: Locked, *, leaf: Any = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(cluster.authority.ca_file))
    if leaf is not None:
        context.load_cert_chain(leaf.cert_file, leaf.key_file)
    return context


@pytest.fixture(scope="module")
def client(cluster: Locked) -> Iterator[httpx.Client]:
    base = f"https://{cluster.gateway}"
    with httpx.Client(base_url=base, verify=trusting(cluster), timeout=60) as made:
        yield made


@pytest.fixture(scope="module")
def routes(client: httpx.Client) -> list[Asked]:
    described = client.get("/openapi.json").json()
    found = []
    for path, verbs in described["paths"].items():
        for verb, operation in verbs.items():
            if verb in ("get", "post", "put", "patch", "delete"):
                rpc = RPCS[operation["operationId"]]
                rule = rule_of(rpc)
                assert rule is not None
                found.append(Asked(verb.upper(), path, rpc, rule))
    return found


def _is_list(rpc: MethodDescriptor, steps: list[str]) -> bool:
    """Whether the field of the request that a rule names holds several."""
    message: Any = rpc.input_type
    for step in steps[:-1]:
        message = message.fields_by_name[step].message_type
    return bool(message.fields_by_name[steps[-1]].is_repeated)


def ask(
    client: httpx.Client, route: Asked, authorization: str = "", *, name: str = "x", task: str = "x"
) -> httpx.Response:
    """Call a route that names `name` wherever it names a queue, service or node."""
    rule = route.rule
    of_messages = (*rule.message_queues, *rule.exchanges, "")
    where = rule.task or rule.queue or rule.service or rule.node or of_messages[0]
    value = task if rule.task else name
    path, query, body = route.path, {}, {}
    in_path = False
    for piece in path.split("{")[1:]:
        variable = piece.partition("}")[0]
        # The document calls `service.name` what it is within its path: `name`; and writes names
        # as JSON does.
        own = re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", variable)
        named = own in (where, where.rpartition(".")[2])
        path = path.replace(f"{{{variable}}}", value if named else "x")
        in_path = in_path or named
    if where and not in_path:
        if route.verb in ("GET", "DELETE"):
            query[where] = value
        else:
            steps = where.split(".")
            inner: Any = [value] if _is_list(route.rpc, steps) else value
            for step in reversed(steps):
                inner = {step: inner}
            body = inner
    headers = {"X-Request-Timeout": "10", "Accept": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    send = None if route.verb in ("GET", "DELETE") else body
    with client.stream(route.verb, path, params=query, json=send, headers=headers) as answer:
        if answer.status_code != 200:
            answer.read()
        return answer


def assert_problem(answer: httpx.Response, status: int, about: object) -> None:
    assert answer.status_code == status, (about, answer.text)
    assert answer.headers["content-type"] == "application/problem+json", about
    problem = answer.json()
    assert problem["status"] == status
    assert problem["reason"].isupper()
    challenge = answer.headers.get("www-authenticate", "")
    assert challenge.startswith("Bearer ") == (status == 401), about


def test_every_unary_and_streamed_rpc_has_a_route(routes: list[Asked]):
    assert {route.rpc.name for route in routes} == set(RPCS)
    assert len(routes) == len(RPCS)


def test_without_a_token_401(client: httpx.Client, routes: list[Asked]):
    for route in routes:
        answer = ask(client, route)
        assert_problem(answer, 401, route)
        assert answer.headers["www-authenticate"] == 'Bearer realm="quorate"'


def test_with_a_bad_token_401(cluster: Locked, client: httpx.Client, routes: list[Asked]):
    for kind, authorization in cluster.unauthenticated().items():
        for route in routes:
            answer = ask(client, route, authorization)
            assert_problem(answer, 401, (kind, str(route)))
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_with_the_wrong_role_403(cluster: Locked, client: httpx.Client, routes: list[Asked]):
    tried = 0
    for role in set(Role) - CERTIFICATE_ONLY:
        for route in routes:
            if not holds(role, route.rule.name):
                tried += 1
                answer = ask(client, route, f"Bearer {cluster.by_role[role]}")
                assert_problem(answer, 403, (role, str(route)))
    assert tried > 60


def test_for_a_foreign_queue_403(cluster: Locked, client: httpx.Client, routes: list[Asked]):
    tried = 0
    for token in (cluster.bound, cluster.issuer.token(queues=["mail*"])):
        for route in routes:
            if not route.rule.unbound:
                tried += 1
                answer = ask(
                    client, route, f"Bearer {token}", name=FOREIGN, task=cluster.foreign_task
                )
                assert_problem(answer, 403, str(route))
    assert tried > 40


def test_with_the_right_token_it_passes(cluster: Locked, client: httpx.Client, routes: list[Asked]):
    for token in (cluster.admin, cluster.issuer.token()):
        for route in routes:
            answer = ask(client, route, f"Bearer {token}")
            assert answer.status_code not in (401, 403, 500, 502, 503), (route, answer.text)


def test_a_certificate_of_another_ca_ends_the_handshake(cluster: Locked):
    context = trusting(cluster, leaf=cluster.stranger.leaf("admin:mallory"))
    with (
        httpx.Client(base_url=f"https://{cluster.gateway}", verify=context) as client,
        pytest.raises(httpx.TransportError),
    ):
        client.get("/v1/cluster", headers={"Authorization": f"Bearer {cluster.admin}"})


# What anybody may ask for: health, the description of the API and its page, the dashboard's files,
# and whether somebody is signed in.
PUBLIC = {
    "/auth/session",
    *("/healthz", "/readyz", "/openapi.json"),
    *("/docs", "/docs/page.css", "/docs/page.js", "/docs/schema.js"),
    *read_pages(FOLDER),
}
# How one signs in; off here.
SIGN_IN = {"/auth/login": "GET", "/auth/callback": "GET", "/auth/logout": "POST"}


async def paths_of_parts() -> set[str]:
    """Of every part that the gateway is composed of; those of REST are the document's instead."""
    settings = GatewaySettings(schedulers="127.0.0.1:9")
    upstream = Upstream(settings.addresses)
    try:
        context = Context(settings, upstream, asyncio.Event())
        parts = [
            proxy_part(Proxy(ProxyOptions()), upstream, Access.of(settings)),
            *(make(context) for make in PARTS),
        ]
        routes = [route for part in parts for route in part.routes]
        assert sum(isinstance(route, RestRoute) for route in routes) == 1
        plain = [route for route in routes if not isinstance(route, RestRoute)]
        assert all(isinstance(route, Route) for route in plain)
        return {route.path for route in plain if isinstance(route, Route)}
    finally:
        await upstream.close()


def test_what_is_no_rpc_needs_a_token_too_but_for_what_is_public(client: httpx.Client):
    paths = asyncio.run(paths_of_parts())
    assert paths >= PUBLIC
    assert paths >= SIGN_IN.keys()
    needs = paths - PUBLIC - SIGN_IN.keys()
    assert needs >= {"/v1/gateway/services", "/v1/live"}
    for path in sorted(needs):
        assert_problem(client.get(path), 401, path)


def test_what_is_public_needs_no_token(client: httpx.Client):
    for path in sorted(PUBLIC):
        assert client.get(path).status_code == 200, path
    for path, verb in SIGN_IN.items():
        assert_problem(client.request(verb, path), 404, path)


# -- /v1/live


class Socket:
    """A connection to /v1/live."""

    def __init__(self, cluster: Locked, **options: Any) -> None:
        self._connecting = connect(
            f"wss://{cluster.gateway}/v1/live", ssl=trusting(cluster), max_size=None, **options
        )

    async def __aenter__(self) -> Socket:
        self.raw = await self._connecting.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._connecting.__aexit__(*error)

    async def said(self, **wanted: str) -> dict[str, Any]:
        """The next message that has all of this."""
        async with asyncio.timeout(60):
            while True:
                message: dict[str, Any] = json.loads(await self.raw.recv())
                if message.items() >= wanted.items():
                    return message

    async def subscribe(self, name: str, topic: str, **filters: Any) -> dict[str, Any]:
        """The first answer to a subscription."""
        request = {"op": "subscribe", "id": name, "topic": topic, "filter": filters}
        await self.raw.send(json.dumps(request))
        return await self.said(id=name)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_live_without_a_token_is_refused_in_the_handshake(cluster: Locked):
    with pytest.raises(InvalidStatus) as refused:
        async with Socket(cluster):
            pass
    assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus):
        async with Socket(cluster, additional_headers={"Authorization": "Basic YQ=="}):
            pass


async def test_live_with_a_bad_token_is_closed_and_told_nothing(cluster: Locked):
    async def close_of(authorization: str) -> int:
        async with Socket(cluster, additional_headers={"Authorization": authorization}) as socket:
            assert (await socket.said())["kind"] == "hello"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.said(kind="snapshot")
            assert closed.value.rcvd is not None
            return closed.value.rcvd.code

    bad = cluster.unauthenticated()
    kinds = [kind for kind, value in bad.items() if value.startswith("Bearer ")]
    codes = await asyncio.gather(*(close_of(bad[kind]) for kind in kinds))
    assert dict(zip(kinds, codes, strict=True)) == dict.fromkeys(kinds, 4401)


async def test_live_tells_each_caller_what_it_may_see(cluster: Locked):
    async with (
        Socket(cluster, additional_headers=bearer(cluster.admin)) as admin,
        Socket(cluster, additional_headers=bearer(cluster.bound)) as bound,
    ):
        assert (await admin.subscribe("t", "tasks", queue=FOREIGN))["kind"] == "snapshot"
        foreign = await bound.subscribe("t", "tasks", queue=FOREIGN)
        assert foreign["kind"] == "error"
        assert foreign["problem"]["reason"] == "FOREIGN_QUEUE"
        everything = await bound.subscribe("t", "tasks")
        assert everything["problem"]["reason"] == "BOUND_CALLER"
        assert (await bound.subscribe("t", "tasks", queue="mail"))["kind"] == "snapshot"
        log = await bound.subscribe("l", "logs", id=cluster.foreign_task)
        assert log["problem"]["reason"] == "FOREIGN_QUEUE"
        seen = {}
        for name, socket in (("admin", admin), ("bound", bound)):
            snapshot = await socket.subscribe("q", "queues")
            seen[name] = {one["name"] for one in snapshot["items"]}
        assert FOREIGN in seen["admin"]
        assert seen["bound"]
        assert all(name.startswith("mail") for name in seen["bound"])


async def test_a_page_gives_its_token_among_the_subprotocols(cluster: Locked):
    offered = ["quorate.v1", f"quorate.bearer.{cluster.admin}"]
    async with Socket(cluster, subprotocols=offered) as socket:
        # The answer names no token.
        assert socket.raw.subprotocol == "quorate.v1"
        assert (await socket.subscribe("q", "queues"))["kind"] == "snapshot"
