"""Tables fit the terminal: whole columns are left out, what people copy is never cut."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from quorate.cli.output.listing import BREAK, Listing

ID = "01a22851d09c7000893655b6968f0722"


def listing() -> Listing:
    table = Listing(
        ("ID", "NAME", "STATE", "NODE", "AGE"),
        elastic=("NAME",),
        drop=("NODE", "AGE", "NAME"),
        right=("AGE",),
    )
    table.add_row(ID, "a name of some length", "SUCCEEDED", "node-number-1", "2 h 5 min")
    return table


def shown(table: Listing, width: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_everything_is_shown_where_there_is_room() -> None:
    assert listing().left_out(200) == []
    [_, row] = shown(listing(), 200)
    assert row == f"{ID}  a name of some length  SUCCEEDED  node-number-1  2 h 5 min"


def test_a_name_is_shortened_before_a_column_is_left_out() -> None:
    [_, row] = shown(listing(), 85)
    assert row == f"{ID}  a name of som\u2026  SUCCEEDED  node-number-1  2 h 5 min"


def test_what_was_shortened_grows_again_when_a_column_is_left_out() -> None:
    [_, row] = shown(listing(), 75)
    assert row == f"{ID}  a name of some len\u2026  SUCCEEDED  2 h 5 min"
    assert listing().left_out(75) == ["NODE"]


@pytest.mark.parametrize("width", range(20, 120))
def test_no_width_cuts_an_id_or_a_state(width: int) -> None:
    lines = shown(listing(), width)
    assert max(map(len, lines)) <= width
    joined = "".join(lines).replace(" ", "")
    if width >= 45:
        assert ID in joined
        assert "SUCCEEDED" in joined
        assert "\u2026" not in "".join(line for line in lines if "STATE" in line)
    else:
        # Folded, not cut.
        assert "\u2026" not in joined


@pytest.mark.parametrize("width", [39, 40, 50])
def test_an_id_is_whole_where_a_long_state_has_to_be_folded(width: int) -> None:
    table = Listing(("ID", "STATE"), drop=())
    table.add_row(ID, "PENDING (fits no node)")
    lines = shown(table, width)
    assert lines[1].startswith(f"{ID}  PEND")
    assert max(map(len, lines)) <= width


def test_values_with_a_short_form_take_it_before_a_column_is_left_out() -> None:
    table = Listing(("ID", "NAME", "STATE"), short={"ID": lambda text: text[-8:]}, drop=("NAME",))
    table.add_row(ID, "a-name", "SUCCEEDED")
    assert shown(table, 51)[1] == f"{ID}  a-name  SUCCEEDED"
    assert table.shortened(51) == ""
    assert shown(table, 50)[1] == f"{ID[-8:]}  a-name  SUCCEEDED"
    assert table.shortened(50) == ID[-8:]
    assert table.left_out(50) == []
    assert table.left_out(20) == ["NAME"]


def test_a_row_is_one_line() -> None:
    table = Listing(("A", "B"))
    table.add_row("x\r\n\ty", "[bold]z[/bold]")
    assert shown(table, 80)[1] == f"x{BREAK}y  [bold]z[/bold]"


def test_wide_characters_count_twice() -> None:
    table = Listing(("ID", "NAME", "STATE"), drop=("NAME",))
    table.add_row("a", "\u5c3a" * 10, "OK")
    assert table.left_out(30) == ["NAME"]
    assert table.left_out(31) == []
