"""`doctor`: looks a cluster over and says what to do.

Exit codes: 0 nothing to be done, 1 warnings, 2 errors (or a wrong command line).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.text import Text

from quorate.cli.common import DataDir, Json, data_dir_of
from quorate.cli.output import render
from quorate.cli.output.listing import Details
from quorate.cli.output.render import out
from quorate.cli.words import sentence
from quorate.client.transport.discovery import (
    LocalCluster,
    find_access,
    owner_of,
    read_local_cluster,
)
from quorate.doctor.etcd_checks import EtcdTarget
from quorate.doctor.examine import Targets, examine
from quorate.doctor.finding import Finding, Level, failure, worst
from quorate.doctor.process_checks import Process
from quorate.etcd.channels import EtcdTls
from quorate.runtime.config import EtcdSettings
from quorate.runtime.errors import QuorateError, invalid
from quorate.runtime.sizes import plural

_CODES = {Level.OK: 0, Level.NOTE: 0, Level.WARNING: 1, Level.ERROR: 2}
_STYLES = {
    Level.OK: "green",
    Level.NOTE: "cyan",
    Level.WARNING: "yellow",
    Level.ERROR: "bold red",
}
_ETCD = "etcd"


def _etcd_option(name: str, metavar: str) -> Any:
    """An option that is also a setting of the services: described once."""
    text = EtcdSettings.model_fields[name].description
    variable = f"QUORATE_{name.upper()}"
    return typer.Option(
        metavar=metavar,
        help=f"{sentence(text or '')} \\[default: ${variable}]",
        show_default=False,
        rich_help_panel=_ETCD,
    )


def doctor(
    schedulers: Annotated[
        str | None,
        typer.Option(
            "--schedulers",
            "--address",
            metavar="HOST:PORT[,...]",
            help="Addresses of schedulers, separated by commas. "
            "\\[default: $QUORATE_ADDRESS, else the local cluster]",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    health: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Address of a process's health port (its --health-listen); may be repeated. "
            "\\[default: those of the local cluster]",
            show_default=False,
        ),
    ] = None,
    cert: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Certificate (PEM) to check; may be repeated. \\[default: the client's own]",
        ),
    ] = None,
    etcd: Annotated[str | None, _etcd_option("etcd", "HOST:PORT[,...]")] = None,
    etcd_user: Annotated[str | None, _etcd_option("etcd_user", "NAME")] = None,
    etcd_password_file: Annotated[str | None, _etcd_option("etcd_password_file", "FILE")] = None,
    etcd_ca_file: Annotated[str | None, _etcd_option("etcd_ca_file", "FILE")] = None,
    etcd_cert_file: Annotated[str | None, _etcd_option("etcd_cert_file", "FILE")] = None,
    etcd_key_file: Annotated[str | None, _etcd_option("etcd_key_file", "FILE")] = None,
    etcd_quota_mib: Annotated[
        int,
        typer.Option(
            metavar="MIB",
            min=0,
            max=65_536,
            help="Maximum size of etcd, in MiB. \\[default: the scheduler's --etcd-quota-mib]",
            show_default=False,
            rich_help_panel=_ETCD,
        ),
    ] = 0,
    as_json: Json = False,
) -> int:
    """Check the cluster: etcd, schedulers, nodes, clocks, certificates.

    The exit code is 0 if there is nothing to do, 1 if there are warnings, 2 if there are errors.
    """
    given = {
        "etcd": etcd,
        "etcd_user": etcd_user,
        "etcd_password_file": etcd_password_file,
        "etcd_ca_file": etcd_ca_file,
        "etcd_cert_file": etcd_cert_file,
        "etcd_key_file": etcd_key_file,
    }
    settings = _settings({name: value for name, value in given.items() if value is not None})
    named = etcd is not None or bool(os.environ.get("QUORATE_ETCD"))
    whose = schedulers or data_dir or os.environ.get("QUORATE_ADDRESS")
    alone = not whose and (named or bool(health) or bool(cert))
    findings: list[Finding] = []
    local = None
    if schedulers is None and not alone:
        local = _local(data_dir)
    access = None
    if not alone:
        try:
            access = find_access(schedulers, data_dir)
        except QuorateError as error:
            if error.reason != "NO_CLUSTER":
                raise
            advice = (
                "start it with 'quorate up', or name another cluster: --data-dir DIR, --address "
                "HOST:PORT. To check etcd, a process or a certificate alone, use --etcd, "
                "--health, --cert"
            )
            findings.append(failure("cluster", error.message.partition("\n")[0], advice))
    processes = [Process(address, address) for address in health or ()]
    certificates = list(cert or ())
    target = _etcd_target(settings, etcd_quota_mib) if named else None
    if local is not None:
        processes = processes or [Process(p.name, p.health) for p in local.processes if p.health]
        store = next((p.address for p in local.processes if p.role == "etcd"), "")
        if target is None and store:
            files = local.etcd_tls
            tls = EtcdTls(files.ca_file, files.cert_file, files.key_file) if files else None
            target = EtcdTarget([store], tls=tls, local=True)
    if access is not None and access.tls is not None:
        certificates += [f for f in (access.tls.cert_file, access.tls.ca_file) if f]
    certificates += [f for f in (settings.etcd_cert_file, settings.etcd_ca_file) if f]
    targets = Targets(target, access, processes, certificates, local=local is not None)
    findings += asyncio.run(examine(targets, dt.datetime.now(dt.UTC)))
    level = worst(findings)
    if as_json:
        document = [finding.as_dict() for finding in findings]
        render.print_json({"level": level.name.lower(), "findings": document})
    else:
        _show(findings, level)
    return _CODES[level]


def _settings(given: dict[str, str]) -> EtcdSettings:
    try:
        return EtcdSettings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        failure = error.errors()[0]
        flag = ".".join(str(part).replace("_", "-") for part in failure["loc"])
        raise invalid(flag, failure["msg"].removeprefix("Value error, ")) from None


def _etcd_target(settings: EtcdSettings, quota_mib: int) -> EtcdTarget:
    password = ""
    if settings.etcd_password_file:
        try:
            password = Path(settings.etcd_password_file).read_text().rstrip("\r\n")
        except OSError as error:
            raise invalid(
                "etcd-password-file", f"{settings.etcd_password_file}: {error.strerror}"
            ) from error
    tls = None
    if settings.etcd_ca_file:
        tls = EtcdTls(settings.etcd_ca_file, settings.etcd_cert_file, settings.etcd_key_file)
    return EtcdTarget(settings.endpoints, settings.etcd_user, password, tls, quota=quota_mib << 20)


def _local(data_dir: Path | None) -> LocalCluster | None:
    """The local cluster that is meant, when it runs."""
    if data_dir is None and os.environ.get("QUORATE_ADDRESS"):
        return None
    directory = data_dir_of(data_dir)
    return read_local_cluster(directory) if owner_of(directory) else None


def _show(findings: list[Finding], level: Level) -> None:
    table = Details()
    for finding in findings:
        name = Text(finding.level.name.lower(), style=_STYLES[finding.level])
        table.add_row(name, f"{finding.subject}: {finding.text}")
        if finding.advice:
            table.add_row("", Text(f"-> {finding.advice}", style="dim"))
    render.show(table)
    shown = (Level.ERROR, Level.WARNING, Level.NOTE)
    counts = {one: sum(f.level is one for f in findings) for one in shown}
    words = [plural(count, one.name.lower()) for one, count in counts.items() if count]
    if level <= Level.NOTE:
        notes = f" ({', '.join(words)})" if words else ""
        out.print(Text(f"No problems found{notes}.", style="green"))
    else:
        out.print(f"{', '.join(words)}.", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)
