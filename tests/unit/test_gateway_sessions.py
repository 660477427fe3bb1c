"""Sessions of signed-in browsers: renewal, limits, cookies; settings that are refused."""

import asyncio
import subprocess
import sys

import pytest
from pydantic import ValidationError

from gateway.config import GatewaySettings
from gateway.oidc.cookies import Cookies, TooLarge
from gateway.oidc.sessions import SESSION, Sessions
from gateway.oidc.settings import check_url
from gateway.oidc.tokens import SignInRefused, Tokens

SECRET = "a secret of thirty-two characters"


class Provider:
    """Gives a token that is good for 300 s; accepts each refresh token once."""

    def __init__(self):
        self.now, self.number, self.asked = 1_000.0, 0, 0
        self.gate = asyncio.Event()

    def tokens(self):
        self.number += 1
        claims = {"sub": "alice", "exp": self.now + 300, "email": "a@example.com"}
        return Tokens(f"id{self.number}", f"refresh{self.number}", claims)

    async def renew(self, refresh_token, subject):
        self.asked += 1
        await self.gate.wait()
        if (refresh_token, subject) != (f"refresh{self.number}", "alice"):
            raise SignInRefused("used already")
        return self.tokens()


def header_of(cookies):
    pairs = (cookie.partition(";")[0] for cookie in cookies if "Max-Age=0;" not in cookie)
    return "; ".join(pairs)


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
def sessions(provider):
    cookies = Cookies(SECRET, "http://localhost")
    return Sessions(cookies, provider, 1_000.0, now=lambda: provider.now)


def signed_in(sessions, provider):
    return header_of(sessions._set(sessions._session(provider.tokens(), provider.now + 1_000)))


async def test_requests_of_a_page_share_one_renewal(sessions, provider):
    header = signed_in(sessions, provider)
    assert (await sessions.current(header))[1] == []
    provider.now += 250
    asking = [asyncio.create_task(sessions.current(header)) for _ in range(5)]
    while not provider.asked:
        await asyncio.sleep(0)
    asking.pop().cancel()
    provider.gate.set()
    found = await asyncio.gather(*asking)
    # Also one that comes with the former cookie a little later.
    found.append(await sessions.current(header))
    assert provider.asked == 1
    assert {session.id_token for session, _ in found} == {"id2"}
    renewed = header_of(found[0][1])
    assert sessions.of(renewed).refresh_token == "refresh2"
    # A renewal does not make the session longer.
    assert sessions.of(renewed).ends == sessions.of(header).ends


async def test_a_session_ends_in_time_whatever_is_renewed(sessions, provider):
    header = signed_in(sessions, provider)
    provider.gate.set()
    for _ in range(4):
        provider.now += 245
        session, cookies = await sessions.current(header)
        assert session is not None
        header = header_of(cookies) or header
    provider.now += 21
    session, cookies = await sessions.current(header)
    assert session is None
    assert all("Max-Age=0;" in cookie for cookie in cookies)


async def test_what_is_left_of_a_token_is_used_up_when_it_cannot_be_renewed(sessions, provider):
    header = signed_in(sessions, provider)
    provider.number = 7
    provider.gate.set()
    provider.now += 299
    assert (await sessions.current(header))[0].id_token == "id1"
    provider.now += 2
    assert (await sessions.current(header))[0] is None


def test_a_long_value_is_cut_into_cookies_and_a_longer_one_is_refused():
    cookies = Cookies(SECRET, "https://q.example/quorate")
    made = cookies.sealed(SESSION, {"x": "y" * 9_000}, age=60, same_site="Strict")
    assert all(len(cookie) < 4_096 for cookie in made)
    assert all(cookie.startswith("__Secure-quorate-session") for cookie in made)
    assert all("Path=/quorate;" in cookie and "; Secure" in cookie for cookie in made)
    assert cookies.opened(SESSION, header_of(made)) == {"x": "y" * 9_000}
    assert cookies.opened("sign-in", header_of(made).replace("session", "sign-in")) is None
    with pytest.raises(TooLarge):
        cookies.sealed(SESSION, {"x": "y" * 20_000}, age=60, same_site="Strict")


@pytest.fixture
def good(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    return {
        "oidc_issuer": "https://id.example.com",
        "oidc_client_id": "quorate",
        "oidc_client_secret_file": str(secret),
        "public_url": "https://quorate.example.com",
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"oidc_issuer": "http://id.example.com"}, "oidc-issuer: .* is not an https URL"),
        ({"oidc_issuer": "https://id.example.com/?x=1"}, "oidc-issuer: .* is not an https URL"),
        ({"public_url": "http://quorate.example.com"}, "public-url: .* is not an https URL"),
        ({"public_url": ""}, "public-url: is missing"),
        ({"oidc_client_id": ""}, "oidc-client-id: is missing"),
        ({"oidc_client_secret_file": ""}, "oidc-client-secret-file: is missing"),
        ({"oidc_client_secret_file": "/none"}, "oidc-client-secret-file: cannot read /none"),
        ({"oidc_client_secret_file": "/dev/null"}, "must contain 16 to 4096"),
        ({"oidc_scopes": "profile"}, "oidc-scopes: must contain openid"),
        ({"service_paths": True}, "service-paths: cannot be used with --oidc-issuer"),
        ({"root_path": "/quorate"}, "public-url: its path '' is not --root-path"),
        ({"oidc_session": 5}, "greater than or equal to 60"),
    ],
)
def test_settings_that_do_not_fit_are_refused(good, change, words):
    assert GatewaySettings.model_validate(good).oidc_issuer
    with pytest.raises(ValidationError, match=words):
        GatewaySettings.model_validate({**good, **change})


def test_endpoints_of_a_provider_may_have_a_query_and_must_be_https():
    check_url("token_endpoint", "https://id.example.com/token?p=policy", query=True)
    check_url("token_endpoint", "http://127.0.0.1:9400/token", query=True)
    for url in (
        "http://id.example.com/token",
        "https://user@id.example.com/token",
        "https://id.example.com/token#x",
        "ftp://id.example.com",
        "https:///token",
        "javascript:alert(1)",
    ):
        with pytest.raises(ValueError, match=r"token_endpoint: .* is not an https URL"):
            check_url("token_endpoint", url, query=True)


def test_a_gateway_without_sign_in_loads_nothing_for_it():
    code = "import sys, gateway.app; print({'authlib', 'httpx2'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
