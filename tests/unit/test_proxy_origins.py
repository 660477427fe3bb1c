"""Headers by which a service would act on a whole origin are found in any spelling."""

from __future__ import annotations

import pytest

from gateway.proxy.http1.header_names import ORIGIN_WIDE
from gateway.proxy.http1.heads import parse_request, parse_response

# What browsers act on for an origin, or for paths beside the answer's own.
KNOWN = (
    "Service-Worker-Allowed",
    "Clear-Site-Data",
    "Alt-Svc",
    "Strict-Transport-Security",
    "Public-Key-Pins",
    "Expect-CT",
    "NEL",
    "Report-To",
    "Reporting-Endpoints",
    "Origin-Agent-Cluster",
    "Accept-CH",
    "Critical-CH",
    "Set-Login",
    "Secure-Session-Registration",
    "Use-As-Dictionary",
    "Shared-Storage-Write",
    "Attribution-Reporting-Register-Source",
    "Attribution-Reporting-Register-Trigger",
)


@pytest.mark.parametrize("name", KNOWN)
def test_a_header_for_a_whole_origin_is_kept_apart(name: str) -> None:
    assert name.lower().encode() in ORIGIN_WIDE
    for spelled in (name, name.lower(), name.upper()):
        line = f"{spelled}: a".encode()
        rows = (b"HTTP/1.1 200 OK", b"X-A: 1", line, b"Content-Length: 0", line)
        found = parse_response(b"\r\n".join(rows), b"GET")
        assert found.origin_wide == [line, line]
        assert line not in found.lines
        assert b"X-A: 1" in found.lines


@pytest.mark.parametrize("name", ["Service-Worker", "service-worker", "SERVICE-WORKER"])
def test_a_request_for_the_script_of_a_service_worker_is_known_as_one(name: str) -> None:
    head = f"GET /sw.js HTTP/1.1\r\nHost: g\r\n{name}: script"
    assert parse_request(head.encode()).service_worker
    # Naming it as hop-by-hop hides it from the instance, not from the gateway.
    assert parse_request(f"{head}\r\nConnection: service-worker".encode()).service_worker
    assert not parse_request(b"GET /sw.js HTTP/1.1\r\nHost: g").service_worker
