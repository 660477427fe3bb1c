"""The part of the state that is about calls: their answers, kept for their repeats."""

from __future__ import annotations

from collections import deque

from scheduler.core.model.rows import DedupRow

# Dead entries that are not worth clearing away.
_CLEAR_ABOVE = 256


def kind_of(scope: str) -> str:
    """Of which kind a request id of this scope is: "" for creating tasks (the scope is the queue,
    whose name cannot begin with "_"), else the scope itself."""
    return scope if scope.startswith("_") else ""


class CallState:
    """Answers to calls. A part of `State`, as which it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.dedup: dict[tuple[str, str], DedupRow] = {}
        # How many of them there are of each kind: `kind_of` their scope.
        self.answers: dict[str, int] = {}
        # The keys of `dedup`, those that were looked at longest ago first.
        self.dedup_line: deque[tuple[str, str]] = deque()

    def remember(self, key: tuple[str, str], row: DedupRow) -> None:
        """Keep the answer to a call."""
        if key not in self.dedup:
            self.dedup_line.append(key)
            kind = kind_of(key[0])
            self.answers[kind] = self.answers.get(kind, 0) + 1
        self.dedup[key] = row

    def drop_answer(self, key: tuple[str, str]) -> None:
        """The answer to a call is not kept any longer; its place in the line is the caller's."""
        del self.dedup[key]
        self.answers[kind_of(key[0])] -= 1

    def forget_request(self, key: tuple[str, str]) -> None:
        """An answer is deleted. Its place in the line goes when it is met at the head."""
        if key in self.dedup:
            self.drop_answer(key)
        line = self.dedup_line
        while line and line[0] not in self.dedup:
            line.popleft()
        if len(line) > 2 * len(self.dedup) + _CLEAR_ABOVE:
            # Behind one that stays for long (its task is scheduled for next month) most are gone.
            self.dedup_line = deque(key for key in dict.fromkeys(line) if key in self.dedup)
