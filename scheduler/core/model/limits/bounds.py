"""The bounds of what one leader keeps in memory and writes in one Txn."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.core.model.limits.quotas import NO_QUOTA, Quota


@dataclass(frozen=True, slots=True)
class Limits:
    """Those refuse with RESOURCE_EXHAUSTED when reached; nothing is dropped but the oldest audit
    entries."""

    live_tasks: int = 2_000_000
    queues: int = 10_000
    # Answers kept for repeated calls: those that create tasks, and as many again of those about
    # tasks (cancel, retry, delete).
    requests: int = 2_000_000
    # The same of calls about queues, about nodes and about services; of each of the three.
    control_requests: int = 200_000
    # Seconds that an answer is kept at least; as long as its tasks are on record besides.
    request_age: float = 600.0
    # Callers that repeat a batch which is still being created.
    batch_waiters: int = 64
    # One part of a batch: a task may take two writes in its Txn (created and given to a node).
    part_tasks: int = 48
    part_bytes: int = 384 << 10
    # The same while other callers write, too.
    small_part_tasks: int = 64
    small_part_bytes: int = 16 << 10
    live_subtasks: int = 100_000_000
    # Jobs on record, finished ones included.
    jobs: int = 50_000
    services: int = 10_000
    schedules: int = 10_000
    # Of the specs of all schedules together: they stay in memory.
    schedule_bytes: int = 64 << 20
    # Replicas wanted by all services together, and outside processes registered.
    instances: int = 10_000
    # Outside processes of one service.
    service_instances: int = 1_000
    # Audit entries kept, and for how many seconds; 0 entries: none are written.
    audit_entries: int = 10_000
    audit_age: float = 90 * 86_400.0
    # Seconds that a task waits until the room of a node is kept for it; 0.0: never.
    reserve_after: float = 30.0
    # Of whoever has no record of its own, and there is none for everybody.
    caller_quota: Quota = NO_QUOTA
    anonymous_quota: Quota = NO_QUOTA
    queue_quota: Quota = NO_QUOTA

    def part(self, *, small: bool) -> tuple[int, int]:
        """Tasks and bytes of one part."""
        if not small:
            return self.part_tasks, self.part_bytes
        tasks = min(self.part_tasks, self.small_part_tasks)
        return tasks, min(self.part_bytes, self.small_part_bytes)
