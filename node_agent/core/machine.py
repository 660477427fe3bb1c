"""The agent's decisions: events in, effects out.

Owns every attempt on the node from its assignment until its report is acknowledged. Calls are
events (`on_...`); what is to be done gathers in an `Effects` that the driver takes with `take()`
after `settle()`. All times are monotonic seconds.

Guarantees
* An attempt is in exactly one place: waiting, in a lane, among the replicas, or in the outbox.
* Leaders are fenced: an epoch lower than one seen before is refused, a higher one takes over.
* Assigning an attempt twice runs it once. A newer attempt of a task ends an older one.
* Losing the leader, etcd or the lease ends nothing, except attempts whose queue asked for STOP once
  the lease can no longer be alive. What was given away meanwhile a leader cancels in its session.
* An attempt whose code waits for another task takes no slot meanwhile (see `slots`), and the credit
  is higher by as many. Memory, processors and counters that a task asked for stay its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from node_agent.core import credit as credits
from node_agent.core.attempts import (
    SILENT,
    Attempt,
    Outcome,
    Reason,
    Ref,
)
from node_agent.core.effects import Inventory
from node_agent.core.epochs import StaleEpoch
from node_agent.core.held.chunks import CHUNK_WAIT_SECONDS
from node_agent.core.held.controls import HeldControls
from node_agent.core.outbox import Outbox
from node_agent.core.slots import BLOCKED_SECONDS, MOST_YIELDED
from quorate.runtime.ids import Epoch

# An attempt that waits longer than this and will not be reached soon is returned.
WAIT_SECONDS = 0.050
# One that waits this long is always returned (a worker that never gets ready).
WAIT_LIMIT_SECONDS = 5.0
# Attempts that run this long are announced as started; of shorter ones only the end is reported.
ANNOUNCE_SECONDS = 0.005
# More than the leader may ever assign: attempts beyond it are returned at once.
MAX_WAITING = 4 * credits.MAX_AHEAD
# When attempts wait and go on more often than this between two ticks, the next tick reports less
# credit to the leader. What it assigns too much meanwhile waits here, or is returned.
MOST_RESUMED = 4
# `on_tick` is meant to be called this often.
TICK_SECONDS = 0.010


class Machine(HeldControls):
    """One node's attempts.

    Args:
        most_yielded: attempts that give their slots up at once while they wait for other tasks.
    """

    def __init__(
        self, slots: int, outbox: Outbox | None = None, most_yielded: int = MOST_YIELDED
    ) -> None:
        super().__init__(slots, outbox, most_yielded)
        # Greatest epoch seen.
        self.epoch = Epoch(0)
        self.durations = credits.Durations()
        self._shutting_down = False
        self._drain_deadline: float | None = None
        self._drain_grace = 0.0
        self._lease_deadline: float | None = None
        # Attempts finished in each of the last ticks, about WAIT_SECONDS in all.
        self._ended: deque[int] = deque([0], maxlen=max(1, int(WAIT_SECONDS / TICK_SECONDS)))
        self._credit_sent: int | None = None
        # How often an attempt went on since the last tick.
        self._resumed = 0

    # -- sessions ------------------------------------------------------------------------------

    def on_session_opened(self, epoch: Epoch) -> Inventory:
        """A leader said hello. Raises StaleEpoch; the driver ends any older session.

        Every unacknowledged outcome is sent again, and the credit, and what reduces wait for.
        """
        self.check_epoch(epoch)
        self.epoch = epoch
        self.connected = True
        inventory = self.inventory()
        effects = self._effects
        # Effects of an earlier session are void: the inventory says it all.
        effects.started.clear()
        effects.returned.clear()
        effects.progress.clear()
        effects.chunk_reports = list(self.reports)
        effects.finished = list(self.outbox)
        effects.wanted = [one for one in inventory.chunks if one.chunk and one.chunk.wanted]
        self._credit_sent = None
        for attempt, _ in inventory.running:
            attempt.announced = True
        return inventory

    def check_epoch(self, epoch: Epoch) -> None:
        """Raise StaleEpoch when a higher epoch was seen."""
        if epoch < self.epoch:
            raise StaleEpoch(epoch, self.epoch)

    def on_session_closed(self) -> None:
        """The session ended: everything goes on, reports gather in the outbox."""
        self.connected = False

    # -- orders of the leader ------------------------------------------------------------------

    def on_assigned(self, attempts: Iterable[Attempt], now: float) -> None:
        """Accept attempts; known ones are not run again."""
        live, waiting, finished = self._live, self._waiting, self.outbox.get
        for attempt in attempts:
            task_id = attempt.task_id
            known = live.get(task_id)
            if known is not None and known.number >= attempt.number:
                continue
            report = finished((task_id, attempt.number))
            if report is not None:
                # The leader missed the outcome: it is sent, not made, again.
                self._effects.finished.append(report)
                continue
            if known is not None:
                self._end(known, Reason.SUPERSEDED)
            if self._closed or len(waiting) >= MAX_WAITING:
                self._effects.returned.append(attempt.ref)
                continue
            if attempt.replica:
                self._start_replica(attempt, now)
                continue
            attempt.accepted_at = now
            live[task_id] = waiting[task_id] = attempt

    def on_cancelled(self, refs: Iterable[Ref]) -> None:
        """End attempts; unknown ones are ignored."""
        for ref in refs:
            attempt = self._live.get(ref[0])
            if attempt is not None and attempt.number == ref[1]:
                self._end(attempt, Reason.CANCELLED)

    def on_acknowledged(self, refs: Iterable[tuple[str, int]]) -> None:
        """Forget outcomes that are durable, or stale, at the leader."""
        acknowledge = self.outbox.acknowledge
        for ref in refs:
            acknowledge(ref)

    def on_drain_ordered(
        self, draining: bool, grace: float, now: float, *, shutting_down: bool = False
    ) -> None:
        """Empty the node: return what waits, let the rest go on for `grace` seconds.

        Replicas finish their requests at the end of that time, so that others may take their
        place meanwhile; at once when `leaving`, since then nobody replaces them. The leader
        cannot undo `leaving` (the process shuts down). When the same order comes again, as from
        every leader whose session opens, the time of the first order counts.
        """
        if self._shutting_down and not shutting_down:
            return
        if (
            draining
            and self.draining
            and (shutting_down, grace) == (self._shutting_down, self._drain_grace)
        ):
            return
        self._drain_grace = grace
        self._shutting_down = shutting_down
        self.draining = draining
        self._drain_deadline = now + grace if draining else None
        if draining:
            self._return_unstarted()

    # -- the disk ------------------------------------------------------------------------------

    def on_disk_changed(self, *, writable: bool) -> None:
        """Take no new work while the disk cannot be written: return what has not started."""
        self.unwritable = not writable
        if self.unwritable:
            self._return_unstarted()

    # -- the lease -----------------------------------------------------------------------------

    def on_lease_confirmed(self, until: float) -> None:
        """The lease lives until then: the start of its last successful keepalive + its TTL."""
        self._lease_deadline = until

    # -- executors -----------------------------------------------------------------------------

    def on_lane_ready(self, lane: int) -> None:
        """The lane's worker takes work."""
        if lane < len(self.slots.lanes):  # else it was closed meanwhile
            self.slots.lanes[lane].ready = True

    def on_lane_lost(self, lane: int) -> None:
        """The lane's worker is gone; what it had was reported by the driver before this."""
        if lane < len(self.slots.lanes):
            self.slots.lanes[lane].ready = False

    def on_yielded(self, attempt: Attempt) -> bool:
        """The code of a running attempt waits for another task; False when it must not.

        True: it gives its slot up until `on_resumed`, or until it ends. With `most_yielded` 0 it
        keeps the slot and waits. Repeating it changes nothing.
        """
        attempt.waited = True
        if attempt.over or not self.slots.most_yielded:
            return True
        lane = self.slots.lanes[attempt.lane]
        assert lane.attempts[0] is attempt, "only what runs waits"
        if len(lane.attempts) > 1:
            self._effects.recall.append(lane.index)
        return self.slots.give_up(lane)

    def on_resumed(self, attempt: Attempt) -> None:
        """It goes on: it has a slot again at once, be it one too many."""
        if not attempt.over:
            self._resumed += 1
            self.slots.resume(self.slots.lanes[attempt.lane])

    def on_recalled(self, lane_index: int, unstarted: Sequence[Attempt], now: float) -> None:
        """The executor took back what had not begun in the lane."""
        for attempt in reversed(unstarted):
            self._leave_lane(attempt, now)
            if attempt.killed is not None:
                self._report(attempt, Outcome(None))
            elif self._closed:
                self._return(attempt)
            else:
                self._waiting[attempt.task_id] = attempt
                self._waiting.move_to_end(attempt.task_id, last=False)
        # Of those left only the last can be running: the ones before it have finished, their
        # outcomes are on the way.
        left = self.slots.lanes[lane_index].attempts
        if left and left[-1].killed is not None:
            self._effects.kill.append(left[-1])

    def on_began(self, attempt: Attempt, when: float) -> None:
        """Its program or function began at `when` (monotonic), as its executor found out."""
        if not attempt.running_since and not attempt.over:
            attempt.running_since = when
            if attempt.chunk is not None:
                self._any_chunks = True
            self._began(attempt, when)
            if attempt.replica:
                self.services.began(attempt, when)

    def on_exited(self, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """An attempt ended by itself or was ended."""
        if attempt.replica:
            self.services.remove(attempt)
            self._report(attempt, outcome)
            return
        if attempt.killed is None and outcome.start and not attempt.waited:
            self.durations.observe(attempt.profile, outcome.seconds)
        self._leave_lane(attempt, now)
        self._ended[-1] += 1
        self._report(attempt, outcome)

    def on_unhealthy(self, attempt: Attempt, why: str) -> None:
        """A replica fails its checks: it is ended, and reported as failed."""
        if attempt.killed is None and not attempt.over:
            attempt.why = why
            self._end(attempt, Reason.UNHEALTHY)

    # -- time ----------------------------------------------------------------------------------

    def on_tick(self, now: float) -> None:
        """Timeouts, announcements and hand-backs; call it every TICK_SECONDS."""
        effects = self._effects
        self._resumed = 0
        for lane in self.slots:
            if not lane.attempts:
                continue
            head = lane.attempts[0]
            if head.chunk is not None:
                self._tick_chunk(head, now)
            held = now - lane.head_since
            # Of a brief call nobody says when it began: it began when it was handed over.
            running_since = head.running_since or (
                lane.head_since if head.warm and head.brief else now
            )
            if (
                now - running_since >= ANNOUNCE_SECONDS
                and not head.announced
                and head.killed not in SILENT
            ):
                head.announced = True
                effects.started.append(head)
            late = head.timeout and head.killed is None and not head.settled
            if late and head.is_late(held, now):
                self._end(head, Reason.TIMEOUT)
            elif len(lane.attempts) > 1 and held > BLOCKED_SECONDS:
                effects.recall.append(lane.index)
        self._tick_services(now)
        if self._lease_deadline is not None and now > self._lease_deadline:
            self._end_all(Reason.DISCONNECTED, stop_only=True)
        if self._drain_deadline is not None and now > self._drain_deadline:
            self._end_all(Reason.DRAINED)
        effects.progress += self._progress.due(now)
        self._hand_back(now)
        self._ended.append(0)
        if len(self.slots.lanes) > self.slots.count:
            effects.unstaff.extend(self.slots.close_spare(now))

    def settle(self, now: float) -> None:
        """Hand waiting attempts to lanes and report the credit; call it after each batch."""
        waiting, slots, start = self._waiting, self.slots, self._effects.start
        if waiting and (slots.yielded or len(slots.lanes) > slots.count):
            first = next(iter(waiting.values()))
            self._effects.staff.extend(slots.make_room(len(waiting), now, warm=first.warm))
        known, choose, put = self.durations.expected, slots.choose, slots.put
        while waiting:
            task_id, attempt = waiting.popitem(last=False)
            expected = known(attempt.profile)
            lane = choose(attempt, expected, now)
            if lane is None:
                waiting[task_id] = attempt
                waiting.move_to_end(task_id, last=False)
                break
            put(lane, attempt, expected, now)
            start.append(attempt)
        if slots.yielded and self.connected:
            while len(waiting) > slots.most_ahead() + slots.empty():
                self._return(next(reversed(waiting.values())))
        wanted, sent = self.credit(now), self._credit_sent
        if wanted != sent and self.connected:
            if self._resumed > MOST_RESUMED and sent is not None and 0 < wanted < sent:
                return
            self._credit_sent = wanted
            self._effects.credit = wanted

    def credit(self, now: float) -> int:
        """Attempts this node is willing to hold at once."""
        if self._closed or self.outbox.full or self.reports.full:
            return 0
        slots = self.slots
        wanted = credits.credit(slots.count, slots.flowing(now), self.durations.ahead)
        if slots.yielded:
            wanted = min(wanted, slots.count + slots.most_ahead())
        # The leader counts replicas, and what has yielded, like the others, but they are in
        # nobody's way.
        return wanted + self.services.counted + slots.yielded + self._chunks_ahead(now)

    @property
    def ample(self) -> bool:
        """Whether there is enough work here for reports to wait for each other."""
        held = len(self._live) - len(self.services) - self.slots.yielded
        return credits.ample(self.slots.count, held, self.durations.overall)

    # -- inside --------------------------------------------------------------------------------

    def _return_unstarted(self) -> None:
        """Hand back what waits, and take back what was sent ahead (then `on_recalled`)."""
        for attempt in tuple(self._waiting.values()):
            self._return(attempt)
        self._effects.recall.extend(lane.index for lane in self.slots if len(lane.attempts) > 1)
        self._recall_chunks()

    def _tick_services(self, now: float) -> None:
        drained = self._drain_deadline
        for attempt, since in self.services:
            if (
                not attempt.announced
                and attempt.running_since
                and now - since >= ANNOUNCE_SECONDS
                and attempt.killed not in SILENT
            ):
                attempt.announced = True
                self._effects.started.append(attempt)
            if drained is None or attempt.killed is not None:
                continue
            if self._shutting_down or now >= drained - attempt.drain_grace:
                # What is left of the drain is all that it has.
                attempt.drain_grace = min(attempt.drain_grace, max(0.0, drained - now))
                self._end(attempt, Reason.DRAINED)
        self._effects.kill.extend(self.services.overdue(now))

    def _hand_back(self, now: float) -> None:
        """Return what has waited and will not be reached at the present rate.

        Without a session nobody could run it elsewhere, so it stays.
        """
        if not self.connected or not self._waiting:
            return
        # At the rate of the last WAIT_SECONDS so many are reached; an empty lane reaches one.
        reached = sum(self._ended) + self.slots.empty()
        for position, attempt in enumerate(tuple(self._waiting.values())):
            waited = now - attempt.accepted_at
            if attempt.chunk is not None and waited <= CHUNK_WAIT_SECONDS:
                continue
            if waited <= WAIT_SECONDS:
                # Recalled ones, which are older, stand in front.
                break
            if position >= reached or waited > WAIT_LIMIT_SECONDS:
                self._return(attempt)
