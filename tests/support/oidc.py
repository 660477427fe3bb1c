"""An OpenID Connect provider for tests, and a user who agrees there."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import httpx

SECRET = "a secret of thirty-two characters"
CLIENT = "quorate-dashboard"
ROOT = "http://127.0.0.1:7470"
"""Where the browser is to see the gateway."""


class Recorder:
    """Around the provider: remembers the bodies of token requests, whose PKCE it does not check."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.bodies: list[dict[str, list[str]]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/oauth2/token":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            self.bodies.append(parse_qs(body.decode()))
            environ["wsgi.input"] = io.BytesIO(body)
        return self.app(environ, start_response)


@contextmanager
def run_provider() -> Iterator[Any]:
    """One with the users `alice`, who is in groups, and `bob`; its `url` and its Recorder `app`."""
    with warnings.catch_warnings():
        # It still uses authlib.jose.
        warnings.simplefilter("ignore")
        import oidc_provider_mock

        with oidc_provider_mock.run_server_in_thread() as server:
            server.app = Recorder(server.app)
            server.url = f"http://localhost:{server.server_port}"
            alice = {"name": "Alice", "email": "alice@example.com", "groups": ["dev", "ops"]}
            for user, claims in (("alice", alice), ("bob", {"email": "bob@example.com"})):
                httpx.put(f"{server.url}/users/{user}", json=claims).raise_for_status()
            yield server


async def at_provider(answer: httpx.Response, user: str = "alice") -> str:
    """The user agrees at the provider's page; the address that it sends the browser to."""
    assert answer.status_code == 302, answer.text
    async with httpx.AsyncClient() as client:
        agreed = await client.post(answer.headers["location"], data={"sub": user})
    assert agreed.status_code == 302, agreed.text
    return agreed.headers["location"]
