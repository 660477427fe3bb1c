"""`certs init` and `certs issue`: a certificate authority of one's own, and what it signs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import grpc
import typer

from quorate.cli.output import render
from quorate.cli.output.render import hint, out
from quorate.runtime.errors import QuorateError, invalid, precondition
from quorate.security.tls.certs import CA_DAYS

# Ten years for the CA: it is made anew with everything it signed, not renewed.
_MOST_DAYS = 3650
_MOST_LEAVES = 1000

Folder = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Directory of the files.")]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="NAME",
        help="DNS name or IP address of the servers, beside localhost; may be repeated.",
    ),
]
Days = Annotated[
    int,
    typer.Option("--days", help=f"Number of days that a certificate is valid, 1 to {_MOST_DAYS}."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]

app = typer.Typer(help="Make certificates for TLS.", no_args_is_help=True)


@app.command()
def init(
    folder: Folder,
    host: Hosts = None,
    scheduler: Annotated[
        list[str] | None,
        typer.Option(
            "--scheduler",
            metavar="NAME",
            help="Name of a scheduler; may be repeated. \\[default: s1, s2]",
        ),
    ] = None,
    node: Annotated[
        list[str] | None,
        typer.Option(
            "--node", metavar="NAME", help="Name of a node; may be repeated. \\[default: n1]"
        ),
    ] = None,
    gateway: Annotated[
        list[str] | None,
        typer.Option(
            "--gateway", metavar="NAME", help="Name of a gateway; may be repeated. \\[default: g1]"
        ),
    ] = None,
    admin: Annotated[
        list[str] | None,
        typer.Option(
            "--admin", metavar="NAME", help="Name of an admin; may be repeated. \\[default: admin]"
        ),
    ] = None,
    days: Days = 365,
    force: Force = False,
) -> None:
    """Make a CA and a certificate for each process and person. Only their owner can read the keys.

    Whoever has the CA's key can get every role, so keep it away from the cluster's machines. For
    production prefer an authority that renews certificates by itself, such as cert-manager.
    """
    names = {
        "scheduler": scheduler or ["s1", "s2"],
        "node": node or ["n1"],
        "gateway": gateway or ["g1"],
        "admin": admin or ["admin"],
    }
    subjects = [f"{role}:{name}" for role, those in names.items() for name in those]
    _check(subjects, days)
    # Not at the top: `cryptography` would slow down every other command.
    from quorate.security.tls.certs import CA_CERT, CA_KEY, LOOPBACK, Authority, file_names

    files = [CA_CERT, CA_KEY, *(name for one in subjects for name in file_names(one))]
    _refuse_to_replace(folder, files, force)
    now = dt.datetime.now(dt.UTC)
    authority = Authority.create("quorate CA", now=now, days=CA_DAYS)
    # Signed before anything is written: a wrong name leaves no half of a set behind.
    hosts = [*LOOPBACK, *(host or [])]
    leaves = {
        subject: authority.issue(
            subject, hosts=() if subject.startswith("admin:") else hosts, now=now, days=days
        )
        for subject in subjects
    }
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority.write(folder)
        for subject, leaf in leaves.items():
            cert, key = file_names(subject)
            leaf.write(folder / cert, folder / key)
    except OSError as error:
        raise _unusable(folder, error) from error
    _say_what_next(folder, subjects, hosts, now + dt.timedelta(days=days))


@app.command()
def issue(
    folder: Folder,
    subject: Annotated[
        str,
        typer.Argument(metavar="ROLE:NAME", help="Role and name, such as node:n7 or submitter:ci."),
    ],
    host: Hosts = None,
    client_only: Annotated[
        bool, typer.Option("--client-only", help="Make a certificate for a client only.")
    ] = False,
    days: Days = 365,
    force: Force = False,
) -> None:
    """Have the CA of 'quorate certs init' sign one more certificate, or renew one (--force).

    Processes load a renewed certificate by themselves.
    """
    _check([subject], days)
    if client_only and host:
        raise invalid("host", "a certificate with --client-only has no hosts")
    from quorate.security.tls.certs import LOOPBACK, Authority, file_names

    authority = Authority.load(folder)
    hosts = () if client_only else (*LOOPBACK, *(host or []))
    leaf = authority.issue(subject, hosts=hosts, now=dt.datetime.now(dt.UTC), days=days)
    cert, key = file_names(subject)
    _refuse_to_replace(folder, [cert, key], force)
    try:
        leaf.write(folder / cert, folder / key)
    except OSError as error:
        raise _unusable(folder, error) from error
    out.print(f"{folder / cert}\n{folder / key}", markup=False, highlight=False)


def _check(subjects: list[str], days: int) -> None:
    if not 1 <= days <= _MOST_DAYS:
        raise invalid("days", f"{days} must be 1 to {_MOST_DAYS}", limit=_MOST_DAYS)
    if len(subjects) > _MOST_LEAVES:
        raise invalid(
            "node", f"{len(subjects)} certificates are more than {_MOST_LEAVES}", limit=_MOST_LEAVES
        )
    doubles = {one for one in subjects if subjects.count(one) > 1}
    if doubles:
        raise invalid("name", f"{', '.join(sorted(doubles))} is given twice")


def _refuse_to_replace(folder: Path, names: list[str], force: bool) -> None:
    existing = [name for name in names if (folder / name).exists()]
    if existing and not force:
        raise QuorateError(
            grpc.StatusCode.ALREADY_EXISTS,
            "FILE_ALREADY_EXISTS",
            f"{folder / existing[0]} exists; --force replaces it, "
            "then copy the new one to all who use it",
        )


def _unusable(folder: Path, error: OSError) -> QuorateError:
    return precondition(
        "FOLDER_UNUSABLE", f"{folder} cannot be used: {error.strerror}", folder=folder
    )


def _say_what_next(folder: Path, subjects: list[str], hosts: list[str], until: dt.datetime) -> None:
    from quorate.security.tls.certs import CA_CERT, CA_KEY, file_names

    table = render.table("WHO", "CERTIFICATE", "KEY")
    for subject in subjects:
        table.add_row(subject, *(str(folder / name) for name in file_names(subject)))
    render.show(table)
    hint(f"\nServers' certificates are for {', '.join(hosts)}; all end on {until:%Y-%m-%d}.")
    hint(f"Keep {folder / CA_KEY} away from the cluster. Next, for example:")
    ca = folder / CA_CERT
    server = next(one for one in subjects if not one.startswith("admin:"))
    person = next((one for one in subjects if one.startswith("admin:")), server)
    for command, subject in (("python -m scheduler", server), ("quorate status", person)):
        cert, key = (folder / name for name in file_names(subject))
        hint(f"  {command} --tls-ca-file {ca} --tls-cert-file {cert} --tls-key-file {key}")


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="certs")
