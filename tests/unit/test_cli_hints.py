"""Commands in hints can be copied: they name the cluster as the command that printed them did."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.cli.hints import command, remember


@pytest.mark.parametrize(
    ("address", "data_dir", "text", "expected"),
    [
        (None, None, "logs -f 1", "quorate logs -f 1"),
        (None, Path("/a b"), "logs -f 1", "quorate logs --data-dir '/a b' -f 1"),
        ("h:1", None, "service show web", "quorate service show --address h:1 web"),
    ],
)
def test_commands_in_hints_name_the_same_cluster(address, data_dir, text, expected):
    remember(address, data_dir)
    try:
        assert command(text) == expected
    finally:
        remember(None, None)
