"""The ids of the audit log: what a follower does to them one by one, and what that costs."""

from __future__ import annotations

import random
import time

import pytest

from scheduler.core.model.indexes.audit_index import MICROS, AuditIndex


@pytest.mark.parametrize("seed", range(20))
def test_whatever_order_entries_come_and_go_in_the_index_is_a_sorted_list(seed: int) -> None:
    rng = random.Random(seed)
    index, model = AuditIndex(), list[int]()
    for _ in range(6_000):
        deed = rng.random()
        if deed < 0.45:
            model.append(index.new_id(len(model) / MICROS))
            index.add(model[-1])
        elif deed < 0.5:
            entry = rng.randrange(index.last + 2)
            index.add(entry)
            model = sorted({*model, entry})
        elif deed < 0.85 and model:
            # The oldest go first, as a rule.
            place = 0 if rng.random() < 0.95 else rng.randrange(len(model))
            index.discard(model.pop(place))
        elif deed < 0.9 and len(model) > 3:
            assert index.drop(3) == (model[0], model[2])
            del model[:3]
        else:
            index.discard(index.last + 1)
        assert len(index) == len(model)
        if rng.random() < 0.1:
            begin, end = sorted(rng.choices(range(index.last + 2), k=2))
            wanted = [entry for entry in model if begin <= entry < end]
            assert index.below(end, begin, 5) == wanted[-5:]
            old = sum(entry < begin for entry in model)
            assert index.expired(100, begin / MICROS, 50) in {
                min(50, max(old + off, len(model) - 100)) for off in (0, -1)
            }
    assert index.below(1 << 60, 0, 10_000) == model


def test_a_follower_forgets_the_oldest_of_many_entries_at_no_cost_for_the_others() -> None:
    """`audit_keep` lowered from its most: 20,000 deletions a second, one event each."""
    index = AuditIndex()
    for entry in range(1, 500_001):
        index.add(entry)
    began = time.process_time()
    for entry in range(1, 100_001):
        index.discard(entry)
    # 0.1 s; if each moved the others it would be 15.
    assert time.process_time() - began < 3.0
    assert len(index) == 400_000
    assert index.below(100_003, 0, 10) == [100_001, 100_002]


def test_what_is_gone_is_not_kept() -> None:
    index = AuditIndex()
    for entry in range(1, 300_001):
        index.add(entry)
        if entry > 10:
            index.discard(entry - 10)
    assert len(index) == 10
    assert len(index._ids) < 3_000
