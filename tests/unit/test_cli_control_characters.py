"""What tasks and callers wrote shows on a terminal as text: none of it commands the terminal."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from quorate.cli.output import render


@pytest.mark.parametrize("console", [render.out, render.err])
@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize(
    "evil", ["\x1b]0;owned\x07", "\x1b]52;c;cm0gLXJm\x07", "\x9b2J", "\r", "\x08", "\x7f", "\x00"]
)
def test_control_characters_of_others_are_not_the_terminals(
    console: render.Terminal, colours: bool, evil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table("ERROR")
    table.add_row(Text(f"be{evil}fore"))
    for shown in (table, Text(f"a{evil}b", style="red"), f"a{evil}b", f"[bold]a{evil}b[/bold]"):
        file = io.StringIO()
        monkeypatch.setattr(console, "_file", file)
        monkeypatch.setattr(console, "_force_terminal", colours)
        monkeypatch.setattr(console, "_color_system", None)
        console.print(shown)
        said = file.getvalue()
        assert said
        assert evil not in said
        for character in evil:
            assert character.isprintable() or character not in said.rstrip("\n"), said


def test_lines_tabs_and_other_scripts_stay() -> None:
    file = io.StringIO()
    render.Terminal(file=file, soft_wrap=True).print(Text("grüße\t日本\nnext"))
    assert "grüße" in file.getvalue()
    assert "日本\nnext" in file.getvalue()
