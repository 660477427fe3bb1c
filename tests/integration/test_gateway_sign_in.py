"""Sign-in at the gateway with a real OpenID Connect provider; the browser is httpx with cookies."""

import asyncio
import hashlib
import time
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from websockets.datastructures import Headers

from gateway.app import build_app, sessions_of
from gateway.cluster.calls import Upstream
from gateway.component import Context, Part
from gateway.config import GatewaySettings
from gateway.live.endpoint import Live
from gateway.sign_in import sign_in_part
from quorate.security.credentials.jwks import KeySource
from quorate.security.credentials.jwt import Verifier
from quorate.security.identity import Role
from tests.support.oidc import CLIENT, ROOT, SECRET, at_provider, run_provider

# The provider has not followed its own library yet.
pytestmark = pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning")


@pytest.fixture(scope="module")
def provider():
    with run_provider() as running:
        yield running


class Gateway:
    """The parts of a gateway that sign-in is about, and a page that shows the token it got."""

    def __init__(self, settings):
        self.settings = settings
        self.sessions = sessions_of(settings)
        context = Context(settings, Upstream(["127.0.0.1:1"]), asyncio.Event(), "", self.sessions)

        async def echo(request: Request):
            return JSONResponse({"authorization": request.headers.getlist("authorization")})

        route = Route("/v1/echo", echo, methods=["GET", "POST"])
        parts = [sign_in_part(context), Part("echo", [route])]
        self.app = build_app(settings, parts, sessions=self.sessions)

    def browser(self, root=ROOT):
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(
            transport=transport, base_url=root, headers={"Sec-Fetch-Site": "same-origin"}
        )


@pytest.fixture
def make(provider, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(SECRET)

    def made(**changes):
        values = {
            "oidc_issuer": provider.url,
            "oidc_client_id": CLIENT,
            "oidc_client_secret_file": str(secret),
            "public_url": ROOT,
            **changes,
        }
        return Gateway(GatewaySettings.model_validate(values))

    return made


async def sign_in(browser, path="/", user="alice"):
    back = await at_provider(await browser.get("/auth/login", params={"next": path}), user)
    assert back.startswith(f"{str(browser.base_url).rstrip('/')}/auth/callback?")
    return await browser.get(back)


async def token_seen(browser, **headers):
    answer = await browser.get("/v1/echo", headers=headers)
    return [each.removeprefix("Bearer ") for each in answer.json()["authorization"]]


async def test_who_signs_in_calls_with_the_providers_id_token_until_they_sign_out(make, provider):
    gateway = make()
    async with gateway.browser() as browser:
        session = (await browser.get("/auth/session")).json()
        assert session == {"signIn": True, "signedIn": False}
        assert await token_seen(browser) == []
        asked = parse_qs(urlsplit((await browser.get("/auth/login")).headers["location"]).query)
        assert asked["response_type"] == ["code"]
        assert asked["redirect_uri"] == [f"{ROOT}/auth/callback"]
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["state"] != asked["nonce"]

        login = await browser.get("/auth/login", params={"next": "/queues?sort=name"})
        challenge = parse_qs(urlsplit(login.headers["location"]).query)["code_challenge"][0]
        done = await browser.get(await at_provider(login))
        assert (done.status_code, done.headers["location"]) == (303, "/queues?sort=name")
        verifier = provider.app.bodies[-1]["code_verifier"][0].encode()
        digest = urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        assert digest == challenge

        session = (await browser.get("/auth/session")).json()
        assert (session["signedIn"], session["name"], session["subject"]) == (
            True,
            "Alice",
            "alice",
        )
        assert "token" not in str(session).lower()
        (token,) = await token_seen(browser)
        # As a scheduler with --auth jwt takes it.
        judge = Verifier(
            KeySource(f"{provider.url}/jwks"),
            issuer=provider.url,
            audience=CLIENT,
            role_claim="groups",
            roles={"ops": Role.OPERATOR, "dev": Role.SUBMITTER},
        )
        caller = await judge.verify(token)
        assert (caller.name, caller.role) == ("alice", Role.OPERATOR)

        out = await browser.post("/auth/logout")
        ends = urlsplit(out.json()["endSessionUrl"])
        assert f"{ends.scheme}://{ends.netloc}{ends.path}" == f"{provider.url}/oauth2/end_session"
        # No token in an address.
        query = {"client_id": [CLIENT], "post_logout_redirect_uri": [f"{ROOT}/"]}
        assert parse_qs(ends.query) == query
        assert not (await browser.get("/auth/session")).json()["signedIn"]
        assert await token_seen(browser) == []
        outcomes = {name: n for name, n in gateway.sessions.outcomes.items() if n}
        assert outcomes == {"signed_in": 1, "signed_out": 1}


async def test_a_session_counts_for_pages_of_the_gateway_alone(make, monkeypatch):
    gateway = make(cors_origins="*")
    async with gateway.browser() as browser:
        await sign_in(browser)
        assert len(await token_seen(browser)) == 1
        for site in ("same-site", "cross-site"):
            assert await token_seen(browser, **{"Sec-Fetch-Site": site}) == []
            foreign = {"Sec-Fetch-Site": site, "Origin": "https://evil.example"}
            assert await token_seen(browser, **foreign) == []
        # A token that is shown counts before the cookie.
        assert await token_seen(browser, Authorization="Bearer mine") == ["mine"]
        # As a WebSocket's handshake brings it, without and with a token.
        kept = dict((await browser.get("/auth/session")).request.headers)
        (token,) = await token_seen(browser)
        live = Live(Upstream(["127.0.0.1:1"]), "i", sessions=gateway.sessions, origins=["*"])
        monkeypatch.setattr(live.hubs, "of", lambda token: token)
        shown = "quorate.v1, quorate.bearer.mine"
        page = {"origin": ROOT}
        for more, wanted in (
            (page, token),
            ({"origin": "https://evil.example", "sec-fetch-site": ""}, ""),
            ({"sec-fetch-site": "same-site", "origin": "https://evil.example"}, ""),
            ({**page, "sec-websocket-protocol": shown}, "mine"),
            ({**page, "cookie": "quorate-session=no"}, ""),
        ):
            admitted: Any = live.admit("/v1/live", Headers({**kept, **more}))
            assert admitted == wanted


async def test_cookies_are_out_of_reach_for_scripts_and_other_sites(make):
    async with make().browser() as browser:
        login = await browser.get("/auth/login")
        done = await browser.get(await at_provider(login))
        for answer, site in ((login, "Lax"), (done, "Strict")):
            cookies = answer.headers.get_list("set-cookie")
            kept = [one for one in cookies if "Max-Age=0" not in one]
            assert kept
            assert all("HttpOnly" in one and f"SameSite={site}" in one for one in kept)
    root = "https://quorate.example.com"
    async with make(public_url=root).browser(root) as browser:
        answer = await browser.get("/auth/login")
    for cookie in answer.headers.get_list("set-cookie"):
        assert cookie.startswith("__Host-quorate-sign-in")
        assert "; Secure" in cookie
        assert "Path=/;" in cookie
        assert "Domain" not in cookie


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil",
        "/\t/evil",
        "evil",
        "",
    ],
)
async def test_a_sign_in_leads_to_no_other_site(make, path):
    async with make().browser() as browser:
        assert (await sign_in(browser, path)).headers["location"] == "/"


async def test_an_answer_that_belongs_to_another_sign_in_is_refused(make, provider):
    gateway = make()
    async with gateway.browser() as alice, gateway.browser() as mallory:
        theirs = await at_provider(await mallory.get("/auth/login"))
        # Mallory's answer, in a browser that began none, and in one that began its own.
        nobody = await alice.get(theirs)
        assert nobody.status_code == 401
        assert "began no sign-in" in nobody.text
        own = await at_provider(await alice.get("/auth/login"))
        refused = await alice.get(theirs)
        assert refused.status_code == 401
        assert "another sign-in" in refused.text
        # It is over: the own answer does not count any more, either.
        assert (await alice.get(own)).status_code == 401
        assert await token_seen(alice) == []

        login = await alice.get("/auth/login")
        code = parse_qs(urlsplit(theirs).query)["code"][0]
        state = parse_qs(urlsplit(login.headers["location"]).query)["state"][0]
        # A code of another sign-in with this one's state: the ID token has the other nonce.
        mixed = await alice.get("/auth/callback", params={"code": code, "state": state})
        assert (mixed.status_code, await token_seen(alice)) == (401, [])
        assert "another sign-in" in mixed.text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"error": "access_denied<script>"}, "access_denied&lt;script&gt;"),
        ({}, "incomplete"),
        ({"code": "c" * 5000, "state": "s"}, "incomplete"),
        ({"code": "made-up", "state": "STATE"}, "the provider refused"),
        ({"code": "c", "state": "STATE", "iss": "https://evil.example"}, "another provider"),
    ],
)
async def test_a_sign_in_that_fails_says_why_and_signs_nobody_in(make, query, words):
    async with make().browser() as browser:
        login = await browser.get("/auth/login")
        state = parse_qs(urlsplit(login.headers["location"]).query)["state"][0]
        query = {name: state if value == "STATE" else value for name, value in query.items()}
        answer = await browser.get("/auth/callback", params=query)
        assert answer.status_code == 401
        assert words in answer.text
        assert await token_seen(browser) == []


async def test_a_token_for_another_client_signs_nobody_in(make):
    gateway = make()
    gateway.sessions._provider._client_id = "another"
    async with gateway.browser() as browser:
        login = await browser.get("/auth/login")
        known = await gateway.sessions._provider._known()
        known.verifier._audience = CLIENT
        answer = await browser.get(await at_provider(login))
    assert answer.status_code == 401
    assert "another audience" in answer.text


async def test_a_session_ends_and_every_gateway_with_the_secret_reads_it(make, tmp_path):
    first, second = make(), make(oidc_session=3600)
    other = tmp_path / "other"
    other.write_text("another secret of thirty-two chars")
    stranger = make(oidc_client_secret_file=str(other))
    async with first.browser() as browser:
        await sign_in(browser)
        cookies = browser.cookies
    for gateway, signed_in in ((second, True), (stranger, False)):
        async with gateway.browser() as browser:
            browser.cookies = cookies
            assert (await browser.get("/auth/session")).json()["signedIn"] is signed_in
    # The provider renews without an ID token: the session ends with the one it has.
    first.sessions._now = lambda: time.time() + 3601
    async with first.browser() as browser:
        browser.cookies = cookies
        answer = await browser.get("/v1/echo")
        assert answer.json()["authorization"] == []
        assert any("Max-Age=0" in one for one in answer.headers.get_list("set-cookie"))


async def test_a_cookie_that_was_changed_is_none(make):
    async with make().browser() as browser:
        await sign_in(browser)
        (cookie,) = (one for one in browser.cookies.jar if one.name == "quorate-session")
        for value in (cookie.value[:-8], cookie.value[:50] + "A" + cookie.value[51:], "", "é"):
            headers = {"Cookie": f"quorate-session={value}".encode("latin-1")}
            async with make().browser() as another:
                answer = await another.get("/v1/echo", headers=headers)
            assert (answer.status_code, answer.json()["authorization"]) == (200, [])


async def test_a_provider_that_is_away_is_said(make, provider):
    gateway = make(oidc_issuer="http://127.0.0.1:1")
    async with gateway.browser() as browser:
        answer = await browser.get("/auth/login")
        assert (answer.status_code, answer.json()["reason"]) == (503, "OIDC_UNAVAILABLE")
    # One that calls itself otherwise is none.
    gateway = make(oidc_issuer=f"{provider.url}/")
    async with gateway.browser() as browser:
        assert (await browser.get("/auth/login")).status_code == 503
