"""Who is signed in at a gateway is judged by a scheduler: real processes, a real provider."""

import contextlib
import os

import httpx
import pytest

from tests.support import forked
from tests.support.gateway import run_gateway
from tests.support.oidc import CLIENT, ROOT, SECRET, at_provider, run_provider
from tests.support.tls import etcd_flags, locks

# The provider has not followed its own library yet.
pytestmark = pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning")


@pytest.fixture(scope="module")
def provider():
    with run_provider() as running:
        yield running


@pytest.fixture(scope="module")
def scheduler(etcd_server, provider):
    """A scheduler that takes the provider's ID tokens."""
    flags = (
        *(f"--etcd={etcd_server.endpoint}", f"--cluster=sign-in-{os.getpid()}", *etcd_flags()),
        *("--name=s1", "--listen=127.0.0.1:0", "--auth=jwt"),
        *(f"--auth-jwks={provider.url}/jwks", f"--auth-jwt-issuer={provider.url}"),
        *(f"--auth-jwt-audience={CLIENT}", "--auth-jwt-role-claim=groups"),
        *("--auth-jwt-roles=admins=admin,dev=submitter", "--auth-jwt-name-claim=email"),
    )
    process, output = forked.start_piped("scheduler", *flags, error=2)
    try:
        words = output.readline().split()
        yield next(word.partition("=")[2] for word in words if word.startswith("address="))
    finally:
        process.kill()
        process.wait()
        output.close()


@pytest.mark.skipif(locks() is not None, reason="starts a scheduler with its own settings")
async def test_a_scheduler_judges_who_is_signed_in(scheduler, provider, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    flags = (
        *("--auth=bearer", f"--oidc-issuer={provider.url}", f"--oidc-client-id={CLIENT}"),
        *(f"--oidc-client-secret-file={secret}", f"--public-url={ROOT}"),
    )
    task = {"spec": {"command": {"argv": ["true"]}}}
    with run_gateway([scheduler], *flags) as gateway:

        @contextlib.asynccontextmanager
        async def signed_in(user):
            headers = {"Sec-Fetch-Site": "same-origin"}
            async with httpx.AsyncClient(
                base_url=gateway.url, headers=headers, timeout=60
            ) as browser:
                back = await at_provider(await browser.get("/auth/login"), user)
                done = await browser.get(back.removeprefix(ROOT))
                assert done.status_code == 303, done.text
                yield browser

        async with signed_in("alice") as alice:
            cluster = (await alice.get("/v1/cluster")).json()
            assert cluster["caller"]["name"] == "submitter:alice@example.com"
            assert (await alice.post("/v1/queues/default/tasks", json=task)).status_code == 200
            refused = await alice.post("/v1/queues/default:pause", json={})
            assert (refused.status_code, refused.json()["reason"]) == (403, "ROLE_LACKS_PERMISSION")
            # A page of a service on the same machine.
            foreign = {"Sec-Fetch-Site": "same-site"}
            assert (await alice.get("/v1/cluster", headers=foreign)).status_code == 401
            await alice.post("/auth/logout")
            assert (await alice.get("/v1/cluster")).status_code == 401
        # In no group that means a role.
        async with signed_in("bob") as bob:
            refused = await bob.get("/v1/cluster")
            assert (refused.status_code, refused.json()["reason"]) == (401, "TOKEN_WITHOUT_ROLE")
