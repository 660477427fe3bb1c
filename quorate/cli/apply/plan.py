"""What has to be done so that a cluster has what the files declare. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from quorate.cli.apply.fields import flat, set_fields
from quorate.cli.apply.file import Declared
from quorate.cli.apply.kinds import KINDS, KindOf
from quorate.client.client import Client
from quorate.runtime.errors import invalid, precondition

CREATE: Final = "create"
UPDATE: Final = "update"
UNCHANGED: Final = "unchanged"
DELETE: Final = "delete"


@dataclass(slots=True)
class Step:
    """One object: what to do with it, and by field what it has and should have."""

    kind: KindOf
    name: str
    action: str
    wanted: Any = None
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def take(self, client: Client) -> None:
        """Do it. Raises QuorateError."""
        if self.action == CREATE:
            self.kind.made(client, self.wanted)
        elif self.action == UPDATE:
            fields = dict.fromkeys(path.partition(".")[0] for path in self.changes)
            self.kind.changed(client, self.wanted, list(fields))
        elif self.action == DELETE:
            self.kind.gone(client, self.name)


def plan(client: Client, declared: Declared, *, prune: bool) -> list[Step]:
    """The steps in the order in which they are to be taken; deletions come last.

    Args:
        prune: delete what the files do not declare, of the kinds that they have a section for.

    Raises:
        QuorateError: a field that does not exist, or an object that cannot be changed.
    """
    steps: list[Step] = []
    deletions: list[Step] = []
    for kind in KINDS:
        if kind.section not in declared:
            continue
        objects = declared[kind.section]
        there = {one.name: one for one in kind.there(client)}
        for name, (given, place) in objects.items():
            steps.append(_step(kind, name, given, place, there.get(name)))
        if prune:
            gone = sorted(name for name in there.keys() - objects.keys() if not kind.ours(name))
            deletions[:0] = [Step(kind, name, DELETE) for name in gone]
    return steps + deletions


def _step(kind: KindOf, name: str, given: Any, place: str, there: Any) -> Step:
    wanted = kind.message()
    if there is not None:
        wanted.CopyFrom(there)
    wanted.name = name
    if isinstance(given, dict) and given.get("virtual_host", "/") != "/":
        raise invalid(f"{place}.virtual_host", 'must be "/": other virtual hosts have no files')
    if isinstance(given, dict) and given.get("name", name) != name:
        raise invalid(f"{place}.name", f"must be {name!r}, the name of the section, or left out")
    part = kind.part(wanted)
    before = flat(kind.part(there)) if there is not None else {}
    set_fields(part, given, place)
    changes = dict(_changes(before, flat(part)))
    if there is None:
        return Step(kind, name, CREATE, wanted, changes)
    if not changes:
        return Step(kind, name, UNCHANGED)
    if kind.update is None:
        fields = ", ".join(changes)
        raise precondition(
            "CANNOT_CHANGE",
            f"{place}: the {kind.field} exists with another {fields}, which cannot be changed; "
            "delete it first",
        )
    return Step(kind, name, UPDATE, wanted, changes)


def _changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield path, (before.get(path), after.get(path))
