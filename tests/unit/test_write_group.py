"""Groups of writes: nothing is sent before the Txn that says so is committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from quorate.etcd.api import Delete, Put
from scheduler.core.model import effects as fx
from scheduler.engine.write_group import WriteGroup
from tests.support.core import Cluster
from tests.support.core_graphs import Graphs
from tests.support.core_specs import spec


class Journal:
    """Keeps the groups that were appended."""

    def __init__(self) -> None:
        self.groups: list[tuple[Sequence[Put | Delete], Callable[[int], None]]] = []

    def append(self, ops: Sequence[Put | Delete], after: Callable[[int], None], _: object) -> None:
        self.groups.append((ops, after))


@pytest.mark.parametrize("txn_ops", [3, 4, 5, 8, 128])
def test_an_assignment_is_sent_with_the_txn_that_holds_it_also_where_jobs_begin(
    txn_ops: int,
) -> None:
    """The first task of a graph that starts has its job written, too, between the assignments."""
    cluster = Cluster()
    cluster.placing = False
    graphs = Graphs(cluster)
    for _ in range(3):
        graphs.create({"a": (), "b": ()})
    cluster.submit(spec())
    cluster.node("n1", credit=20)
    out = cluster.machine.place(cluster.now, 100)
    assert len(out.writes) > len(out.after) == 7

    journal = Journal()
    sent: list[fx.After] = []

    def committed(after: Sequence[fx.After], revision: int) -> None:
        sent.extend(after)

    codec: Any = cluster.codec
    group = WriteGroup(journal, codec, txn_ops, committed, lambda after, error: None)  # type: ignore[arg-type]
    group.add_assignments((), out.writes, out.after)
    group.flush()
    on_record: list[bytes] = []
    for ops, after in journal.groups:
        on_record += [op.key for op in ops]
        sent.clear()
        after(1)
        for effect in sent:
            assert isinstance(effect, fx.StartAttempt)
            run = f"runs/{effect.row.queue.name}/{effect.row.id}".encode()
            assert run in on_record, f"{effect.row.id} is sent before it is on record"
    assert len(on_record) == len(out.writes)
