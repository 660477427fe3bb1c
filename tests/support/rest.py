"""The REST part of a gateway, with an upstream that a test scripts."""

import asyncio

import httpx

from gateway.app import build_app
from gateway.auth.verified import PROBE
from gateway.component import Context
from gateway.config import GatewaySettings
from gateway.rest.routes import rest_part

JSON = {"Content-Type": "application/json"}


class ScriptedUpstream:
    """Answers every call with `answers[method]`: a message, an exception, or a list to stream.

    Calls that ask whose a token is are counted apart, and answered unless `refusal` is set.
    """

    addresses = ("nowhere",)

    def __init__(self):
        self.answers = {}
        self.calls = []
        self.verified = 0
        self.rejection = None

    def _answer(self, method, request, timeout):
        self.calls.append((method.name, request, timeout))
        return self.answers.get(method.name, method.response() if not method.streams else [])

    async def unary(self, method, request, *, timeout, reads=False, metadata=()):
        if method is PROBE:
            self.verified += 1
            if self.rejection is not None:
                raise self.rejection
            return method.response()
        answer = self._answer(method, request, timeout)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def stream(self, method, request, *, timeout=None, metadata=()):
        for one in self._answer(method, request, timeout):
            if isinstance(one, Exception):
                raise one
            yield one


def client_of(upstream, **chosen):
    """An HTTP client of a gateway with these settings."""
    settings = GatewaySettings(**chosen)
    parts = [rest_part(Context(settings, upstream, asyncio.Event()))]
    transport = httpx.ASGITransport(build_app(settings, parts), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def problem(response, status, reason):
    """The problem document that the answer must be."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (response.status_code, body["status"], body["reason"]) == (status, status, reason)
    assert {"type", "title", "detail", "instance", "code", "domain"} <= set(body)
    return body
