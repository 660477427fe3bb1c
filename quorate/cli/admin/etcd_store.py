"""Commands that speak to etcd itself, not to a scheduler: which etcd, with which credentials.

They are for operators, who hold etcd's credentials, and work while no scheduler does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer
from pydantic import ValidationError

from quorate.cli.common import DataDir, data_dir_of
from quorate.cli.provided import provided
from quorate.cli.words import sentence
from quorate.client.transport.discovery import LocalCluster, read_local_cluster
from quorate.etcd.channels import EtcdTls
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.maintenance import Maintenance
from quorate.runtime.config import EtcdSettings
from quorate.runtime.errors import invalid

P = ParamSpec("P")
R = TypeVar("R")

_FLAGS = {
    "etcd": "HOST:PORT[,...]",
    "cluster": "NAME",
    "etcd_user": "NAME",
    "etcd_password_file": "FILE",
    "etcd_ca_file": "FILE",
    "etcd_cert_file": "FILE",
    "etcd_key_file": "FILE",
}


@dataclass(frozen=True, slots=True)
class Store:
    """The etcd that is meant, and the cluster in it."""

    settings: EtcdSettings

    def client(self) -> EtcdClient:
        """A client of all endpoints. Raises QuorateError for a file that cannot be read."""
        self._check_files()
        return EtcdClient.from_settings(self.settings)

    def maintenance(self) -> Maintenance:
        """Its members one by one. Raises QuorateError for a file that cannot be read."""
        self._check_files()
        settings, password, tls = self.settings, "", None
        if settings.etcd_password_file:
            password = Path(settings.etcd_password_file).read_text().rstrip("\r\n")
        if settings.etcd_ca_file:
            tls = EtcdTls(settings.etcd_ca_file, settings.etcd_cert_file, settings.etcd_key_file)
        return Maintenance(settings.endpoints, user=settings.etcd_user, password=password, tls=tls)

    def _check_files(self) -> None:
        for name in ("password", "ca", "cert", "key"):
            path = getattr(self.settings, f"etcd_{name}_file")
            try:
                if path:
                    Path(path).read_bytes()
            except OSError as error:
                raise invalid(f"etcd-{name}-file", f"{path}: {error.strerror}") from error


def find_store(given: dict[str, str], data_dir: Path | None) -> Store:
    """Flags win over the environment; without either, the local cluster's etcd when one runs.

    Raises QuorateError INVALID_ARGUMENT, naming the flag.
    """
    if not (given.keys() & {"etcd"} or os.environ.get("QUORATE_ETCD")):
        local = read_local_cluster(data_dir_of(data_dir))
        if local is not None:
            given = {"cluster": local.cluster, "etcd": _etcd_of(local), **_tls_of(local), **given}
    try:
        return Store(EtcdSettings(**given))  # type: ignore[arg-type]
    except ValidationError as error:
        failure = error.errors()[0]
        flag = ".".join(str(part).replace("_", "-") for part in failure["loc"])
        raise invalid(flag, failure["msg"].removeprefix("Value error, ")) from None


def _etcd_of(local: LocalCluster) -> str:
    return next(process.address for process in local.processes if process.role == "etcd")


def _tls_of(local: LocalCluster) -> dict[str, str]:
    """All three, or what the environment says of another etcd would be mixed in."""
    tls = local.etcd_tls
    files = (tls.ca_file, tls.cert_file, tls.key_file) if tls else ("", "", "")
    names = ("etcd_ca_file", "etcd_cert_file", "etcd_key_file")
    return dict(zip(names, files, strict=True))


def with_store(command: Callable[Concatenate[Store, P], R]) -> Callable[..., R]:
    """Turn a function of a store into a command with `--etcd`, `--cluster` and credentials."""
    options = [
        (name, Annotated[str | None, _option(name, metavar)], None)
        for name, metavar in _FLAGS.items()
    ]
    return provided(command, [*options, ("data_dir", DataDir, None)], _opened)


def _opened(*, data_dir: Path | None, **flags: str | None) -> AbstractContextManager[Store]:
    given = {name: value for name, value in flags.items() if value is not None}
    return nullcontext(find_store(given, data_dir))


def _option(name: str, metavar: str) -> Any:
    """An option that is also a setting of the services: described once, there."""
    text = EtcdSettings.model_fields[name].description
    return typer.Option(
        f"--{name.replace('_', '-')}",
        metavar=metavar,
        help=f"{sentence(text or '')} \\[default: $QUORATE_{name.upper()}, else the local "
        "cluster's]",
        show_default=False,
        rich_help_panel="Which etcd",
    )
