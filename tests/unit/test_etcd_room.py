"""`quorate etcd recover` ends the alarm only where there is room to work again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from typer.testing import CliRunner, Result

from quorate.cli.app import application
from quorate.etcd.server.maintenance import ClusterHealth, Maintenance, MemberHealth, with_room

MIB = 1 << 20
QUOTA_MIB = 100
FULL = ClusterHealth(
    tuple(
        MemberHealth(f"{n}", f"etcd-{n}", f"etcd-{n}:2379", leader=n == 0, db_size=50 * MIB)
        for n in range(3)
    ),
    (("1", "NOSPACE"),),
)


@pytest.mark.parametrize(
    ("quota", "most"), [(16, 12), (40, 36), (100, 90), (2048, 2048 * 0.9), (65_536, 65_536 * 0.9)]
)
def test_a_tenth_is_free_and_what_a_few_requests_take(quota: int, most: float) -> None:
    assert with_room(quota * MIB) == round(most * MIB)


@pytest.fixture
def recover(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], tuple[Result, list[str]]]:
    """Recover from the alarm when defragmentation leaves so many bytes; what was done."""

    def run(left: int) -> tuple[Result, list[str]]:
        done: list[str] = []

        async def health(self: Maintenance) -> ClusterHealth:
            if "disarm" in done:
                return replace(FULL, alarms=())
            if "defragment" not in done:
                return FULL
            first, *others = FULL.members
            return replace(FULL, members=(first, *(replace(m, db_size=left) for m in others)))

        def noting(name: str) -> Callable[..., object]:
            async def note(*_: object) -> None:
                done.append(name)

            return note

        monkeypatch.setattr(Maintenance, "health", health)
        for name in ("compact", "defragment", "disarm"):
            monkeypatch.setattr(Maintenance, name, noting(name))
        flags = ("--etcd", "127.0.0.1:1", "--quota-mib", f"{QUOTA_MIB}", "--yes")
        return CliRunner().invoke(application(), ["etcd", "recover", *flags]), done

    return run


def test_the_alarm_ends_when_every_member_has_room(recover) -> None:
    result, done = recover(90 * MIB)
    assert done == ["compact", "defragment", "disarm"]
    assert result.exit_code == 0


@pytest.mark.parametrize("left", [90 * MIB + 1, 99 * MIB, 100 * MIB, 120 * MIB])
def test_the_alarm_stays_when_the_fullest_member_has_none(recover, left: int) -> None:
    result, done = recover(left)
    assert done == ["compact", "defragment"]
    assert result.exit_code != 0
    assert "The alarm stays" in f"{result.output}{result.exception}"
