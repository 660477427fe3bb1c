"""`backup`, `restore` and `etcd ...`: what an operator does to the store itself.

docs/runbooks says when and in what order. Nothing here asks a scheduler: it works when none runs,
which for `restore` is a condition.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

import quorate
from quorate.cli.admin.etcd_store import Store, with_store
from quorate.cli.common import Json
from quorate.cli.exits import FAILED, OK
from quorate.cli.output import render
from quorate.cli.output.progress import bar
from quorate.cli.output.render import err, hint, out
from quorate.etcd.api import EtcdError
from quorate.etcd.generation import LAST_GENERATION, begin_generation
from quorate.etcd.server.maintenance import (
    ClusterHealth,
    Defragmented,
    Maintenance,
    MemberHealth,
    with_room,
)
from quorate.etcd.server.users import ROLES as ETCD_ROLES
from quorate.etcd.server.users import grant
from quorate.etcd.snapshot.last import note_backup
from quorate.etcd.snapshot.restore import Restore
from quorate.etcd.snapshot.restore import restore as restore_backup
from quorate.etcd.snapshot.snapshot import Backup, Progress, back_up
from quorate.runtime.errors import QuorateError, invalid, precondition, unavailable
from quorate.runtime.sizes import size_text

group = typer.Typer(help="Maintain etcd: its members and its space.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="File of the backup.")]
Yes = Annotated[
    bool,
    typer.Option("--yes", help="Do it. Without --yes the command only prints what it would do."),
]
QuotaMib = Annotated[
    int,
    typer.Option(
        min=16,
        max=65_536,
        metavar="MIB",
        envvar="QUORATE_ETCD_QUOTA_MIB",
        help="etcd's --quota-backend-bytes, in MiB (etcd does not report it).",
    ),
]


@with_store
def backup(store: Store, file: File, as_json: Json = False) -> None:
    """Write a consistent backup of the cluster to a file. The cluster goes on working.

    FILE must not exist. It gets mode 0600, since it holds the payloads of tasks.
    """

    async def work(progress: Progress) -> Backup:
        settings = store.settings
        async with store.client() as etcd:
            now = time.time()
            made = await back_up(
                etcd,
                settings.prefix,
                settings.cluster,
                file,
                now=now,
                version=quorate.__version__,
                progress=progress,
            )
            await note_backup(etcd, settings.prefix, now)
            return made

    with _progress("Reading") as progress, _file_errors("FILE"):
        made = asyncio.run(work(progress))
    if as_json:
        render.print_json({**asdict(made), "file": str(file.absolute())})
        return
    out.print(
        f"{file}: cluster {made.cluster}, {made.records:,} records, {size_text(made.size)}, "
        f"at revision {made.revision} of generation {made.generation}",
        markup=False,
    )


@with_store
def restore(
    store: Store,
    file: File,
    generation: Annotated[
        int,
        typer.Option(
            min=0,
            max=LAST_GENERATION,
            metavar="N",
            help="Generation of the restored cluster. Choose a higher one if this backup was "
            "restored before. \\[default: one more than the backup's]",
            show_default=False,
        ),
    ] = 0,
    max_txn_ops: Annotated[
        int | None,
        typer.Option(
            "--etcd-max-txn-ops",
            metavar="N",
            help="Value of etcd's option --max-txn-ops. \\[default: $QUORATE_ETCD_MAX_TXN_OPS, "
            "else 128]",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Restore a cluster from a backup into an etcd that has no data of this cluster. Stop the
    cluster's schedulers first.

    The file is checked before anything is written. If a restore was interrupted, run it again with
    the same file. Until it is done, no scheduler leads.
    """
    settings = store.settings
    ops = settings.etcd_max_txn_ops if max_txn_ops is None else max_txn_ops
    if not 8 <= ops <= 100_000:
        raise invalid("etcd-max-txn-ops", f"{ops} is not between 8 and 100000")

    async def work(progress: Progress) -> Restore:
        async with store.client() as etcd:
            return await restore_backup(
                etcd,
                settings.prefix,
                settings.cluster,
                file,
                now=time.time(),
                max_txn_ops=ops,
                generation=generation,
                progress=progress,
            )

    with _progress("Writing") as progress, _file_errors("FILE"):
        done = asyncio.run(work(progress))
    if as_json:
        render.print_json(asdict(done))
        return
    when = dt.datetime.fromtimestamp(done.backup_time).astimezone().isoformat(timespec="seconds")
    started = f" ({done.resumed_at:,} by an earlier run)" if done.resumed_at else ""
    out.print(
        f"Cluster {done.cluster} is as it was at {when}: {done.records:,} records{started}, "
        f"generation {done.generation}",
        markup=False,
    )
    hint("Start the schedulers now. Agents that live are taken back by themselves.")


@group.command("status")
@with_store
def status(store: Store, quota_mib: QuotaMib = 2048, as_json: Json = False) -> int:
    """Show etcd's members, databases and alarms. Exit code 1 when a member is unhealthy."""
    health = _on_members(store, Maintenance.health)
    if as_json:
        document = asdict(health) | {"healthy": health.healthy, "quota": quota_mib << 20}
        render.print_json(document)
    else:
        _show(health, quota_mib << 20)
    return OK if health.healthy else FAILED


@group.command("compact")
@with_store
def compact(
    store: Store,
    revision: Annotated[
        int, typer.Option(min=0, help="First revision of etcd to keep; 0 is the present one.")
    ] = 0,
    yes: Yes = False,
) -> int:
    """Drop etcd's old revisions at once. The leader drops them after 10 minutes by itself.

    Watches and standbys that are behind load anew. Nothing else changes.
    """
    if not yes:
        return _unconfirmed("This makes etcd forget all revisions but the newest ones")
    done = _on_members(store, lambda members: members.compact(revision))
    out.print(f"Compacted up to revision {done}")
    return OK


@group.command("defrag")
@with_store
def defrag(store: Store, yes: Yes = False) -> int:
    """Return the free space inside etcd's files to the disk.

        One member at a time, the leader last. Each stops for about a second per GiB. Only while all
    members are healthy.
    """
    if not yes:
        return _unconfirmed("This stops each member of etcd in turn, about a second for each GiB")
    _on_members(store, lambda members: members.defragment(_report))
    return OK


@group.command("new-generation")
@with_store
def new_generation(store: Store, yes: Yes = False) -> int:
    """Begin a new generation of the cluster: after 'etcdctl snapshot restore' only.

    Agents and watchers then know that revisions went back. Refuses while schedulers run.
    """
    if not yes:
        return _unconfirmed("This is for a cluster whose etcd was restored by 'etcdctl snapshot'")

    async def work() -> int:
        async with store.client() as etcd:
            return await begin_generation(etcd, store.settings.prefix, now=time.time())

    try:
        started = asyncio.run(work())
    except EtcdError as error:
        raise unavailable("ETCD_UNAVAILABLE", f"etcd does not answer: {error}") from error
    out.print(f"Cluster {store.settings.cluster} is of generation {started} now", markup=False)
    return OK


@group.command("grant")
@with_store
def grant_rights(
    store: Store,
    subject: Annotated[
        list[str],
        typer.Argument(
            metavar="ROLE:NAME...",
            help="Common names of certificates: scheduler:s1, node:n1, operator:o1.",
        ),
    ],
    yes: Yes = False,
) -> int:
    """Turn on authentication in etcd, and give each certificate the rights of its role.

    Roles are scheduler:, node: and operator:; other certificates get no rights. operator: has all
    rights: name one whose certificate you have, or nobody can change this again. Repeating the
    command changes nothing.
    """
    unknown = [one for one in subject if one.partition(":")[0] not in ETCD_ROLES]
    if unknown:
        raise invalid("subject", f"{unknown[0]} must be scheduler:, node: or operator: and a name")
    if not store.settings.etcd_cert_file:
        # etcd would ask from then on, and know nobody.
        raise invalid("etcd-cert-file", "is missing; etcd identifies its users by certificates")
    if not yes:
        return _unconfirmed("From then on etcd refuses every certificate that is not listed")

    async def work() -> None:
        async with store.client() as etcd:
            await grant(etcd, subject, store.settings.prefix)

    try:
        asyncio.run(work())
    except EtcdError as error:
        raise unavailable("ETCD_UNAVAILABLE", f"etcd refused the change: {error}") from error
    out.print(f"etcd knows {', '.join(subject)}", markup=False)
    return OK


@group.command("recover")
@with_store
def recover(store: Store, quota_mib: QuotaMib = 2048, yes: Yes = False) -> int:
    """Recover etcd from NOSPACE: compact, defragment, end the alarm.

    Refuses to end the alarm while less than a tenth of the quota, or 4 MiB, is free: then raise the
    quota first.
    """
    health = _on_members(store, Maintenance.health)
    _show(health, quota_mib << 20)
    if not health.no_space:
        hint("\nThere is no NOSPACE alarm: nothing to recover from.")
        return OK
    if not yes:
        return _unconfirmed("This compacts and defragments etcd, then ends the NOSPACE alarm")

    async def work(members: Maintenance) -> ClusterHealth:
        await members.compact()
        await members.defragment(_report)
        now = await members.health()
        fullest = max(now.members, key=lambda member: member.db_size)
        most = with_room(quota_mib << 20)
        if fullest.db_size > most:
            raise precondition(
                "STILL_NO_SPACE",
                f"{fullest.name} still holds {size_text(fullest.db_size)} of {quota_mib} MiB; "
                f"up to {size_text(most)} leaves room to work. The alarm stays. Restart etcd "
                "with a larger --quota-backend-bytes and say it with --quota-mib, or let finished "
                "tasks go sooner (the queues' retention)",
                limit=most,
            )
        await members.disarm()
        return await members.health()

    _show(_on_members(store, work), quota_mib << 20)
    return OK


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.add_typer(group, name="etcd")


# -- shared --------------------------------------------------------------------------------------


def _on_members(store: Store, work: Any) -> Any:
    """Run `work` on the members of etcd."""

    async def run() -> Any:
        async with store.maintenance() as members:
            return await work(members)

    return asyncio.run(run())


def _report(done: Defragmented) -> None:
    out.print(
        f"{done.member.name}: {size_text(done.before)} -> {size_text(done.after)} in "
        f"{render.seconds(done.took)}",
        markup=False,
    )


def _unconfirmed(what: str) -> int:
    err.print(f"{what}. Repeat the command with --yes to do it.", markup=False)
    return FAILED


def _show(health: ClusterHealth, quota: int) -> None:
    table = render.table(
        *("MEMBER", "ID", "ROLE", "VERSION", "DB", "IN USE", "OF QUOTA", "LATENCY", "ENDPOINT"),
        right=("DB", "IN USE", "OF QUOTA", "LATENCY"),
    )
    for member in health.members:
        if member.trouble:
            blank = ["-"] * 5
            state: Any = Text("not well", style="red")
            table.add_row(member.name or "-", member.id, state, *blank, member.endpoint or "-")
            continue
        table.add_row(
            member.name,
            member.id,
            _role(member),
            member.version,
            size_text(member.db_size),
            size_text(member.db_size_in_use),
            f"{member.db_size / quota:.0%}",
            render.seconds(member.latency),
            member.endpoint,
        )
    render.show(table)
    for member in health.members:
        if member.trouble:
            err.print(f"{member.name or member.id}: {member.trouble}", markup=False, style="red")
    for who, kind in health.alarms:
        err.print(f"alarm {kind} of member {who}", markup=False, style="bold red")
    if health.no_space:
        hint("etcd refuses to grow. Bring it back with: quorate etcd recover")


def _role(member: MemberHealth) -> Text:
    if member.leader:
        return Text("leader", style="bold green")
    return Text("learner" if member.learner else "follower")


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    with bar(err) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def _file_errors(flag: str) -> Iterator[None]:
    """What is wrong with the file, as a sentence; never half a file, whatever it is."""
    try:
        yield
    except QuorateError:
        raise
    except OSError as error:
        raise invalid(flag, f"{error.filename}: {error.strerror}") from error
