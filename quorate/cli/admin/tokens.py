"""`tokens create`, `list` and `revoke`: API tokens in the file that schedulers read."""

from __future__ import annotations

import datetime as dt
import json
import sys
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from quorate.cli.common import DataDir, data_dir_of
from quorate.cli.output.render import hint, out
from quorate.client.transport.discovery import TOKENS_FILE
from quorate.runtime.errors import QuorateError, invalid, not_found, precondition

_MOST_DAYS = 3650

File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        metavar="FILE",
        envvar="QUORATE_AUTH_TOKENS_FILE",
        help="File with the hashes of tokens: the --auth-tokens-file of the schedulers. "
        "\\[default: the file of a local cluster that 'quorate up --secure' started]",
        show_default=False,
    ),
]

app = typer.Typer(help="Make tokens for callers.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[
        str, typer.Option("--name", help="Name of the caller, for logs and the audit log.")
    ],
    role: Annotated[
        str,
        typer.Option(
            "--role",
            help="Role of the caller: admin, operator, submitter, viewer, scaler, service or "
            "gateway.",
        ),
    ],
    queue: Annotated[
        list[str] | None,
        typer.Option(
            "--queue",
            metavar="PATTERN",
            help="Queues (services for the role service) that the token is limited to, such as "
            "'mail*'; may be repeated. \\[default: all]",
        ),
    ] = None,
    days: Annotated[
        int,
        typer.Option(
            "--days",
            help=f"Number of days that the token is valid, 1 to {_MOST_DAYS}. 0 means no end.",
        ),
    ] = 90,
    file: File = None,
    data_dir: DataDir = None,
) -> None:
    """Print a new token, and append its hash to FILE. FILE is created if it is missing.

    The token is not stored, and cannot be printed again. Schedulers accept it within a second.
    """
    if not 0 <= days <= _MOST_DAYS:
        raise invalid("days", f"must be 0 to {_MOST_DAYS}", limit=_MOST_DAYS)
    from quorate.security.credentials import tokens
    from quorate.security.identity import CERTIFICATE_ONLY, Role

    allowed = [one for one in Role if one not in CERTIFICATE_ONLY]
    if role not in allowed:
        raise invalid("role", f"{role!r} is not one of {', '.join(allowed)}")
    try:
        token = tokens.create(
            _file_of(file, data_dir),
            name,
            Role(role),
            queue or ["*"],
            now=dt.datetime.now(dt.UTC),
            lasts=dt.timedelta(days=days) if days else None,
        )
    except tokens.TokenFileError as failure:
        raise _unusable(failure) from failure
    except ValueError as error:
        field, _, message = str(error).partition(": ")
        raise invalid(field, message) from error
    # Not through rich: nothing may wrap or colour it.
    sys.stdout.write(f"{token}\n")
    hint("This is the only time it is shown. Use it as QUORATE_TOKEN, or in a --token-file.")


@app.command("list")
def list_(
    file: File = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    data_dir: DataDir = None,
) -> None:
    """List the tokens by name and id. The tokens themselves are not stored."""
    from quorate.security.credentials import tokens

    try:
        entries = tokens.read(_file_of(file, data_dir))
    except tokens.TokenFileError as failure:
        raise _unusable(failure) from failure
    for entry in entries.values():
        caller = entry.caller
        expires = (
            dt.datetime.fromtimestamp(caller.expires, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            if isfinite(caller.expires)
            else ""
        )
        if as_json:
            said = {
                "id": entry.id,
                "name": caller.name,
                "role": caller.role,
                "queues": caller.patterns,
                "expires": expires or None,
            }
            sys.stdout.write(json.dumps(said) + "\n")
        else:
            queues = ",".join(caller.patterns)
            out.print(
                f"{entry.id}  {caller}  {queues}  {expires or 'for ever'}",
                markup=False,
                soft_wrap=True,
            )


@app.command()
def revoke(
    which: Annotated[
        str,
        typer.Argument(metavar="ID|NAME", help="Id or name, as 'quorate tokens list' shows it."),
    ],
    file: File = None,
    data_dir: DataDir = None,
) -> None:
    """Revoke a token by its id, or all tokens of a name. Schedulers refuse them within a second."""
    from quorate.security.credentials import tokens

    try:
        gone = tokens.revoke(_file_of(file, data_dir), which)
    except tokens.TokenFileError as failure:
        raise _unusable(failure) from failure
    if not gone:
        raise not_found("token", which)
    out.print(f"{gone} token{'' if gone == 1 else 's'} revoked.")


def _file_of(file: Path | None, data_dir: Path | None) -> Path:
    """The file that is meant. Raises QuorateError (INVALID_ARGUMENT) when nothing says which."""
    if file is not None:
        return file
    local = data_dir_of(data_dir) / TOKENS_FILE
    if not local.is_file():
        raise invalid(
            "file",
            f"name one with --file or QUORATE_AUTH_TOKENS_FILE; {local.parent} has none of a local "
            "cluster ('quorate up --secure')",
        )
    return local


def _unusable(failure: Exception) -> QuorateError:
    return precondition("TOKENS_FILE_UNUSABLE", str(failure))


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="tokens")
