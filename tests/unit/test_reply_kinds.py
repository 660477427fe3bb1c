"""Kinds of replies: each has a number of its own, and comes back as what it was."""

from __future__ import annotations

import pytest

from node_agent.protocol import replies
from node_agent.protocol.replies import Reader, packets_of


@pytest.mark.parametrize("sign", ["began", "yielded", "resumed", "wanted"])
def test_a_sign_is_no_other_kind(sign: str):
    (packet,) = packets_of(5, 1.0, 0.0, (sign,))
    found = Reader().read(packet)
    assert found is not None
    assert found[3] == (sign,)


def test_a_snooze_is_no_sign():
    (packet,) = packets_of(5, 1.0, 2.0, ("snooze", "60.000 busy"))
    found = Reader().read(packet)
    assert found is not None
    assert found[3] == ("snooze", "60.000 busy")


def test_no_two_kinds_share_a_number():
    numbers = [replies.READY, replies.BEGAN, replies.YIELDED, replies.RESUMED, replies.PIECE]
    numbers += [replies.WANTED, replies.SNOOZE, 1, 2, 3, 8, 9]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < 0x10, "the flags begin there"
