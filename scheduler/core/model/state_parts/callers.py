"""The part of the state that is about callers: what they have on record, and quotas."""

from __future__ import annotations

from scheduler.core.model.indexes.usage import Usage
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import Quota, durable, in_force

_MOST_DURABLE = 20_000


class CallerState:
    """What callers have on record, and quotas. A part of `State`, as which it is used."""

    def __init__(self) -> None:
        super().__init__()
        # What callers have on record, by `<role>:<name>`; those that have nothing are left out.
        self.callers: dict[str, Usage] = {}
        # What an admin set, by kind ("caller", "queue") and name.
        self.quotas: dict[tuple[str, str], Quota] = {}
        # Of `durable_quota`; dropped when a quota changes, and when it grows too large.
        self._durable: dict[tuple[str, str], tuple[int, int, int]] = {}

    def usage_of(self, caller: str) -> Usage:
        """What a caller has on record; made when first asked for."""
        usage = self.callers.get(caller)
        if usage is None:
            usage = self.callers[caller] = Usage(caller)
        return usage

    def drop_unused(self, usage: Usage) -> None:
        """Forget a caller that has nothing on record."""
        if usage.empty and self.callers.get(usage.name) is usage:
            del self.callers[usage.name]

    def set_quota(self, kind: str, name: str, quota: Quota | None) -> None:
        """A quota is set, or (None) back to the default."""
        if quota is None:
            self.quotas.pop((kind, name), None)
        else:
            self.quotas[kind, name] = quota
        self._durable.clear()

    def durable_quota(self, limits: Limits, kind: str, name: str) -> tuple[int, int, int]:
        """The live tasks, stored bytes and live subtasks a caller or queue may have; -1: any."""
        known = self._durable.get((kind, name))
        if known is None:
            quota = in_force(self.quotas, limits, kind, name)
            if len(self._durable) >= _MOST_DURABLE:
                self._durable.clear()
            known = self._durable[kind, name] = durable(quota)
        return known
