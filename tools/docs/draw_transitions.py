"""Draws the diagram of task states in docs/architecture.md from the table that the code obeys.

The part between the two markers is rewritten; `--check` only tells whether it is fresh.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- transitions:begin -->", "<!-- transitions:end -->"


Table = Mapping[tuple[str, str], str]


def diagram(transitions: Table, finished: Collection[str]) -> str:
    """The mermaid state diagram of a table (from, to) -> reason; an empty `from` is the beginning.

    The `finished` states that the table reaches are drawn as ends.
    """
    lines = ["```mermaid", "stateDiagram-v2"]
    for (start, finish), reason in transitions.items():
        lines.append(f"    {start or '[*]'} --> {finish}: {reason.replace(':', ',')}")
    ends = dict.fromkeys(finish for _, finish in transitions if finish in finished)
    lines.extend(f"    {state} --> [*]" for state in ends)
    return "\n".join([*lines, "```"])


def current() -> str:
    """The diagram of the scheduler's own table."""
    from scheduler.core.model.transitions import TRANSITIONS
    from scheduler.core.values import FINISHED

    table = {
        (_name(start), _name(finish)): reason for (start, finish), reason in TRANSITIONS.items()
    }
    return diagram(table, [_name(state) for state in FINISHED])


def _name(state: object) -> str:
    return "" if state is None else str(getattr(state, "name", state))


def rewritten(page: str, drawing: str) -> str:
    """`page` with `drawing` between the markers. Raises ValueError when they are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{drawing}\n{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail when the page is stale")
    check = parser.parse_args().check
    page = PAGE.read_text()
    fresh = rewritten(page, current())
    if check:
        if page != fresh:
            print("docs/architecture.md is stale: run `python -m tools.docs.draw_transitions`")
            return 1
        print("docs/architecture.md shows the table of transitions")
        return 0
    PAGE.write_text(fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main())
