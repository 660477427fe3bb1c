"""Callers whose certificates a gateway saw: believed where gateways are trusted."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.amqp import login
from gateway.amqp.protocol.events import Login
from gateway.auth.credentials import Access
from quorate.runtime.errors import QuorateError
from quorate.security.guard import COMMON_NAME, Guard
from quorate.security.identity import Caller, How, Role, encode, from_common_name
from quorate.security.settings import AuthSettings, CertificatesOnly

BILLING = Caller("billing", Role.SUBMITTER, How.CERTIFICATE)
SUBJECT = {"subject": ((("organizationName", "x"),), (("commonName", "submitter:billing"),))}
EXTERNAL = Login("EXTERNAL", "", "", "pika")


class Call:
    """A call as gRPC has it."""

    def __init__(self, certificate: str, metadata: Any) -> None:
        self._certificate = certificate
        self._metadata = metadata

    def invocation_metadata(self) -> Any:
        return self._metadata

    def auth_context(self) -> Any:
        return {COMMON_NAME: [self._certificate.encode()]}


async def caller(certificate: str, metadata: Any, *, trusts: bool = True) -> Caller:
    guard = Guard(CertificatesOnly(auth_trust_gateways=trusts), {})
    return await guard._authenticate(Call(certificate, metadata))


def metadata_of(shown: str) -> Any:
    return Access(certified=True).metadata("", shown)


async def test_a_caller_has_the_name_of_its_certificate():
    credentials = login.credentials_of(EXTERNAL, Access(required=True), SUBJECT)
    metadata = Access(certified=True).metadata(*credentials)
    assert await caller("gateway:g1", metadata) == BILLING


@pytest.mark.parametrize(
    ("certificate", "trusts"), [("gateway:g1", False), ("submitter:x", True), ("node:n1", True)]
)
async def test_others_are_not_believed(certificate, trusts):
    with pytest.raises(QuorateError) as refused:
        await caller(certificate, metadata_of(encode(BILLING)), trusts=trusts)
    assert refused.value.reason == "CREDENTIALS_MISSING"


@pytest.mark.parametrize(
    "shown",
    [
        *(
            encode(Caller("x", role, How.CERTIFICATE))
            for role in (Role.SCHEDULER, Role.NODE, Role.GATEWAY)
        ),
        encode(Caller("x", Role.ADMIN, How.TOKEN)),
        "nonsense",
    ],
)
async def test_a_gateway_passes_on_people_and_programs_alone(shown):
    with pytest.raises(QuorateError) as refused:
        await caller("gateway:g1", metadata_of(shown))
    assert refused.value.reason == "MALFORMED_CALLER"


async def test_a_gateway_is_itself_without_a_client():
    assert (await caller("gateway:g1", ())) == from_common_name("gateway:g1")


@pytest.mark.parametrize("subject", [(), ((("commonName", "billing"),),)])
def test_a_certificate_that_names_no_caller_has_no_name(subject):
    certificate = {"subject": subject, "notAfter": "x"}
    assert login.credentials_of(EXTERNAL, Access(), certificate) == login.Credentials()
    with pytest.raises(login.Refused):
        login.credentials_of(EXTERNAL, Access(required=True), certificate)


def test_only_external_uses_the_certificate():
    plain = Login("PLAIN", "guest", "guest", "pika")
    assert login.credentials_of(plain, Access(), SUBJECT) == login.Credentials("guest")
    with pytest.raises(login.Refused):
        login.credentials_of(EXTERNAL, Access(), None)


def test_trust_needs_certificates():
    with pytest.raises(ValueError, match="auth-trust-gateways: has no effect without --auth mtls"):
        AuthSettings(auth_trust_gateways=True)
