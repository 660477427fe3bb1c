"""Text of others on a terminal and in JSON: nothing is carried out, reordered or hidden."""

from __future__ import annotations

import io
import json

import pytest

from quorate.cli.output import render
from quorate.runtime.visible import REPLACEMENT, deceives, visible, visible_json

DECEPTIVE = [*"\x00\x07\x1b\x7f\x80\x85\x9b\x9f\u061c\u200e\u200f\u202a\u202e\u2066\u2069"]
DECEPTIVE += [*"\u2028\u2029\ufeff\r", "\U000e0041"]


@pytest.mark.parametrize("character", DECEPTIVE, ids=ascii)
def test_it_is_replaced_for_people_and_escaped_for_programs(character, capsys, monkeypatch):
    text = f"a{character}b"
    assert visible(text) == f"a{REPLACEMENT}b"
    render.print_json({text: [text]})
    printed = capsys.readouterr().out
    assert not deceives(printed)
    assert json.loads(printed) == {text: [text]}
    out = io.StringIO()
    render.Terminal(file=out, width=80).print(text)
    assert not deceives(out.getvalue().replace("\n", ""))
    assert character not in out.getvalue()


@pytest.mark.parametrize("text", ["Größe", "שלום", "日本語", "👩\u200d💻", "a\tb\nc", ""])
def test_other_text_stays_as_it_is(text):
    assert visible(text) == text
    assert visible_json(json.dumps(text, ensure_ascii=False)) == json.dumps(
        text, ensure_ascii=False
    )
