"""What commands share: their common options, and the client they work through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, ParamSpec, TypeVar

import typer

from quorate.cli.hints import remember
from quorate.cli.misnamed import misnamed
from quorate.cli.provided import provided
from quorate.client.client import Client
from quorate.client.transport.discovery import default_data_dir
from quorate.runtime.errors import QuorateError
from quorate.security.tls.dialer import ClientTls

P = ParamSpec("P")
R = TypeVar("R")

Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT[,...]",
        help="Addresses of schedulers, separated by commas. \\[default: "
        "$QUORATE_ADDRESS, else the local cluster]",
        show_default=False,
        rich_help_panel="Connection",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Data directory of a local cluster. \\[default: $QUORATE_DATA_DIR, else "
        "~/.local/state/quorate/local]",
        show_default=False,
        rich_help_panel="Connection",
    ),
]
RetryFor = Annotated[
    float | None,
    typer.Option(
        "--retry-for",
        metavar="SECONDS",
        min=0,
        help="Time to keep trying while no scheduler answers, in seconds. \\[default: 10, or 2 if "
        "none has ever answered]",
        show_default=False,
        rich_help_panel="Connection",
    ),
]
TlsCaFile = Annotated[
    str | None,
    typer.Option(
        "--tls-ca-file",
        metavar="FILE",
        help="CA certificates of the schedulers (PEM). Turns TLS on. "
        "\\[default: $QUORATE_TLS_CA_FILE, else what the local cluster needs]",
        show_default=False,
        rich_help_panel="Connection",
    ),
]
TlsCertFile = Annotated[
    str | None,
    typer.Option(
        "--tls-cert-file",
        metavar="FILE",
        help="Client certificate (PEM). \\[default: $QUORATE_TLS_CERT_FILE]",
        show_default=False,
        rich_help_panel="Connection",
    ),
]
TlsKeyFile = Annotated[
    str | None,
    typer.Option(
        "--tls-key-file",
        metavar="FILE",
        help="Private key of the client certificate (PEM). \\[default: $QUORATE_TLS_KEY_FILE]",
        show_default=False,
        rich_help_panel="Connection",
    ),
]
TokenFile = Annotated[
    str | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="File with an API token. \\[default: $QUORATE_TOKEN, else $QUORATE_TOKEN_FILE]",
        show_default=False,
        rich_help_panel="Connection",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# Seconds. A person waits in front of it: less patient than a program.
_PATIENCE = 10.0
_CONNECT_PATIENCE = 2.0


def data_dir_of(given: Path | None) -> Path:
    """The data dir that is meant."""
    return (given or default_data_dir()).expanduser().absolute()


def with_client(command: Callable[Concatenate[Client, P], R]) -> Callable[..., R]:
    """Turn a function of a client into a command with the options that say which cluster.

    The client is closed when the command returns.
    """
    return provided(command, _WHICH_CLUSTER, _client)


_WHICH_CLUSTER: Final = (
    ("address", Address, None),
    ("data_dir", DataDir, None),
    ("retry_for", RetryFor, None),
    ("tls_ca_file", TlsCaFile, None),
    ("tls_cert_file", TlsCertFile, None),
    ("tls_key_file", TlsKeyFile, None),
    ("token_file", TokenFile, None),
)


@contextmanager
def _client(
    address: str | None,
    *,
    data_dir: Path | None,
    tls_ca_file: str | None,
    tls_cert_file: str | None,
    tls_key_file: str | None,
    retry_for: float | None,
    **others: Any,
) -> Iterator[Client]:
    remember(address, data_dir)
    files = (tls_ca_file or "", tls_cert_file or "", tls_key_file or "")
    made = Client(
        address,
        data_dir=data_dir,
        tls=ClientTls(*files) if any(files) else None,
        retry_for=_PATIENCE if retry_for is None else retry_for,
        connect_for=_CONNECT_PATIENCE if retry_for is None else retry_for,
        **others,
    )
    with made as client:
        try:
            yield client
        except QuorateError as error:
            raise misnamed(client, error) from error
