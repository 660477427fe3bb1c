"""`etcd init-auth`: etcd's users and roles of a whole cluster. The command may be repeated."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from quorate.cli.admin.backup import Yes, group
from quorate.cli.admin.etcd_store import Store, with_store
from quorate.cli.exits import FAILED, OK
from quorate.cli.output.render import err, out
from quorate.etcd.api import EtcdError, EtcdUnavailable, Range
from quorate.etcd.server.rights import asks_who_calls
from quorate.etcd.server.users import ROLES, grant
from quorate.runtime.errors import invalid, unavailable

_PAUSE: Final = 1.0
# What the manifests under k8s/ call their certificates.
_PODS: Final = ("scheduler:pods", "node:agent-*")


@group.command("init-auth")
@with_store
def init_auth(
    store: Store,
    subject: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ROLE:NAME...]",
            help="Common names of certificates for etcd: scheduler:s1, node:n1, operator:o1. "
            "'node:agent-*' is one certificate for all nodes whose names begin with 'agent-'. "
            f"\\[default: {' '.join(_PODS)}]",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        int,
        typer.Option(min=0, max=3600, metavar="SECONDS", help="Time to wait until etcd answers."),
    ] = 0,
    yes: Yes = False,
) -> int:
    """Make etcd's users and roles for a cluster, and turn on authentication.

    Schedulers get the keys of the cluster; a node gets its own registration and the instances of
    services; nobody else gets anything. The command's own certificate must be operator:, and
    keeps all rights. Repeating the command changes nothing.
    """
    subjects = list(subject or _PODS)
    for one in subjects:
        role, _, name = one.partition(":")
        if role not in ROLES or not name:
            raise invalid("subject", f"{one} must be scheduler:, node: or operator: and a name")
        if "*" in name and (role != "node" or name.index("*") != len(name) - 1 or name == "*"):
            raise invalid("subject", f"{one}: only node: may end in *, after a start of names")
    own = _own_name(store)
    if not yes:
        err.print(
            f"From then on etcd refuses every certificate but {', '.join([own, *subjects])}. "
            "Repeat the command with --yes to do it.",
            markup=False,
        )
        return FAILED

    async def work() -> None:
        deadline = time.monotonic() + wait
        async with store.client() as etcd:
            while True:
                try:
                    await etcd.range(Range(b"/"))
                    break
                except EtcdUnavailable:
                    if time.monotonic() >= deadline:
                        raise
                await asyncio.sleep(_PAUSE)
            # The own name first: nobody shall be locked out.
            await grant(etcd, [own, *subjects], store.settings.prefix)
            if not await asks_who_calls(etcd):
                raise unavailable("ETCD_UNAVAILABLE", "etcd did not turn on authentication")

    try:
        asyncio.run(work())
    except EtcdError as error:
        raise unavailable("ETCD_UNAVAILABLE", f"etcd refused the change: {error}") from error
    out.print(f"etcd asks who calls, and knows {', '.join([own, *subjects])}", markup=False)
    return OK


def _own_name(store: Store) -> str:
    """The common name of the certificate that this command shows to etcd."""
    from cryptography import x509  # slow to import, and needed by few
    from cryptography.x509.oid import NameOID

    path = store.settings.etcd_cert_file
    if not path:
        raise invalid("etcd-cert-file", "is missing; etcd identifies its users by certificates")
    try:
        certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise invalid("etcd-cert-file", f"{path} is no certificate: {error}") from error
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else ""
    if not name.startswith("operator:"):
        raise invalid(
            "etcd-cert-file",
            f'{path} is of "{name}"; it must be of operator:NAME, or nobody could change the '
            "rights again",
        )
    return name


def register(app: typer.Typer) -> None:
    """Nothing is left to add: the command is `etcd init-auth`."""
