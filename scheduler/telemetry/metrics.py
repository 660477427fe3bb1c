"""The metrics of a scheduler.

    driver  --steps, placements-->  TaskMetrics      counted on the leader's hot path
    journal --commits------------>  SchedulerMetrics counted for the life of the process
    state, journal, etcd            read at a scrape; of the replica: `replica_metrics`

Depths of queues come from the leader alone, so that a sum over all schedulers is right. Queues
beyond `labels.MOST` are added up under `other`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from quorate.etcd.journal.journal import JournalCounters
from quorate.telemetry.buckets import FAST_SECONDS, RECORDS, Buckets
from quorate.telemetry.calls import CallMetrics
from quorate.telemetry.families import counter, counters, gauge, gauges, histogram
from scheduler.agents.conduct import MISCONDUCT
from scheduler.api.cluster.overview import Overview
from scheduler.api.cluster.verdicts import Verdicts
from scheduler.api.forwarding.role import Leader, Local, Roles
from scheduler.api.quotas.servicer import QuotaCalls
from scheduler.core.model.state import State
from scheduler.core.verdict.problems import Code
from scheduler.engine.driver import Driver
from scheduler.engine.task_metrics import TaskMetrics
from scheduler.telemetry.dead_letter_metrics import dead_letter_metrics
from scheduler.telemetry.job_metrics import job_metrics
from scheduler.telemetry.limit_metrics import limit_metrics
from scheduler.telemetry.message_metrics import MessageMetrics
from scheduler.telemetry.queue_metrics import queue_metrics
from scheduler.telemetry.quota_metrics import quota_metrics
from scheduler.telemetry.schedule_metrics import schedule_metrics
from scheduler.telemetry.service_metrics import service_metrics

# RPCs that create tasks.
_SUBMITS: Final = frozenset(("CreateTask", "BatchCreateTasks", "CreateJob"))


class SchedulerMetrics:
    """One scheduler process's metrics; a collector for prometheus_client.

    Args:
        roles: who leads.
    """

    def __init__(self, roles: Roles) -> None:
        self.tasks = TaskMetrics()
        self.messages = MessageMetrics()
        self._roles = roles
        self._elected = 0
        self._failovers = 0
        self._calls = CallMetrics("quorate_rpc", "method", "RPCs")
        self._submit = Buckets(FAST_SECONDS)
        self._commit = Buckets(FAST_SECONDS)
        self._batch = Buckets(RECORDS)
        # Of terms that are over.
        self._unknown = self._repeats = 0
        self._misconduct = dict.fromkeys(MISCONDUCT, 0)
        # By the plug-in's name, and what failed: names are those of what is installed.
        self._plugins: dict[tuple[str, str], int] = {}
        self._driver: Driver | None = None
        self._overview: Overview | None = None
        self._quotas: QuotaCalls | None = None
        self._verdicts: Verdicts | None = None

    # -- called by others

    def seen(self, leader: Leader | None) -> None:
        """The election says that `leader` leads; None: nobody."""
        if leader is None or leader.elected <= self._elected:
            return
        if self._elected:
            self._failovers += 1
        self._elected = leader.elected

    def term_began(
        self,
        driver: Driver,
        overview: Overview,
        quotas: QuotaCalls | None = None,
        verdicts: Verdicts | None = None,
    ) -> None:
        """This process leads: its state is worth telling."""
        self._quotas, self._verdicts = quotas, verdicts
        self._driver, self._overview = driver, overview

    def term_ended(self) -> None:
        """It does not any more."""
        if self._driver is not None:
            counters = self._driver.journal.counters
            self._unknown += counters.unknown
            self._repeats += counters.repeats
        self._driver = self._overview = self._quotas = self._verdicts = None
        self.messages.term_ended()

    def committed(self, seconds: float, records: int) -> None:
        """The journal committed a transaction of so many writes; a barrier has none."""
        if records:
            self._commit.add(seconds)
            self._batch.add(records)

    def agent_misbehaved(self, kind: str) -> None:
        """An agent said what none may say; kinds are ours, and few."""
        self._misconduct[kind] = self._misconduct.get(kind, 0) + 1

    def plugin_failed(self, name: str, why: str) -> None:
        """A filter or score of placement failed; `why`: one word."""
        self._plugins[name, why] = self._plugins.get((name, why), 0) + 1

    def call_began(self, method: str) -> str:
        """A call came; the name to pass to `call_ended`."""
        return self._calls.began(method)

    def call_ended(self, method: str, code: str, seconds: float, *, streams: bool) -> None:
        """It was answered."""
        self._calls.ended(method, code, None if streams else seconds)
        if method in _SUBMITS and code == "OK" and isinstance(self._roles.role, Local):
            # Forwarded ones are the leader's, or they would count twice.
            self._submit.add(seconds)

    # -- at a scrape

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        leads = isinstance(self._roles.role, Local)
        yield gauge("quorate_leader", "1 on the scheduler that leads, else 0.", leads)
        yield counter(
            "quorate_failovers", "Changes of leader that this scheduler observed.", self._failovers
        )
        yield counters(
            "quorate_agent_faults",
            "Sessions that ended or could not be opened because the agent broke the protocol.",
            ("kind",),
            self._misconduct,
        )
        yield counters(
            "quorate_placement_plugin_failures",
            "Calls of placement filters and scores that failed or were left out.",
            ("plugin", "why"),
            self._plugins,
        )
        yield from self.tasks.collect()
        yield from self.messages.collect_counters()
        yield histogram(
            "quorate_submit_seconds",
            "Time from a call that creates tasks to its answer.",
            self._submit,
        )
        yield histogram(
            "quorate_commit_seconds",
            "Time until the outcome of a transaction of the journal is known.",
            self._commit,
        )
        yield histogram(
            "quorate_journal_batch_records", "Writes in a transaction of the journal.", self._batch
        )
        yield from self._collect_journal()
        yield from self._calls.collect()
        if self._driver is not None and self._overview is not None and leads:
            now = self._driver.clock.now()
            yield from queue_metrics(self._driver.state, now)
            yield from service_metrics(self._driver.state)
            yield from _nodes(self._driver.state)
            yield from _store(self._overview)
            yield from limit_metrics(self._driver.state)
            yield from job_metrics(self._driver.state)
            yield from dead_letter_metrics(self._driver.state, now)
            yield from self.messages.collect_state()
            yield from schedule_metrics(self._driver.state.schedules, now)
            yield gauge(
                "quorate_blobs",
                "Objects in the blob store that stored tasks refer to.",
                len(self._driver.state.blobs),
            )
            yield gauge(
                "quorate_blob_bytes",
                "Bytes of the large values that stored tasks refer to.",
                self._driver.state.blobs.bytes,
            )
            if self._verdicts is not None:
                yield _problems(self._verdicts)
            if self._quotas is not None:
                yield from quota_metrics(self._quotas)
            yield gauge(
                "quorate_audit_entries",
                "Entries of the audit log.",
                len(self._driver.state.audit),
            )
            offset = self._driver.clocks.offset
            if offset is not None:
                yield gauge(
                    "quorate_clock_offset_seconds",
                    "How far the leader's clock is ahead of the median of the nodes' clocks.",
                    offset,
                )

    def _collect_journal(self) -> Iterator[Metric]:
        counters = self._driver.journal.counters if self._driver else JournalCounters()
        yield counter(
            "quorate_journal_unknown_outcomes",
            "Transactions of the journal whose outcome was unknown at first.",
            self._unknown + counters.unknown,
        )
        yield counter(
            "quorate_journal_repeats",
            "Transactions of the journal that were sent again.",
            self._repeats + counters.repeats,
        )
        if self._driver is not None:
            journal = self._driver.journal
            yield gauge(
                "quorate_journal_pending_events",
                "Changes that wait until etcd has stored them.",
                journal.pending_events,
            )
            yield gauge(
                "quorate_journal_pending_bytes",
                "Bytes of the changes that wait until etcd has stored them.",
                journal.pending_bytes,
            )
            yield gauge(
                "quorate_journal_no_space",
                "1 while etcd refuses writes because its quota is used up, else 0.",
                journal.no_space,
            )


def _problems(verdicts: Verdicts) -> Metric:
    counts = {str(code): 0 for code in Code}
    for problem in verdicts.problems():
        counts[problem.code] += 1
    return gauges("quorate_problems", "Problems in the verdict, by code.", ("code",), counts)


def _nodes(state: State) -> Iterator[Metric]:
    states = ("ready", "disconnected", "cordoned", "draining", "unwritable", "leaving")
    tally = dict.fromkeys(states, 0)
    slots = running = credit = 0
    for name, node in state.nodes.items():
        control = state.control(name)
        if not node.connected:
            tally["disconnected"] += 1
        elif control.draining:
            tally["draining"] += 1
        elif control.cordoned:
            tally["cordoned"] += 1
        elif node.stats.disk_error:
            tally["unwritable"] += 1
        elif name in state.scaling_down:
            tally["leaving"] += 1
        else:
            tally["ready"] += 1
        slots += node.slots
        running += len(node.allocation.rows)
        credit += node.credit
    yield gauges("quorate_nodes", "Registered nodes, by state.", ("state",), tally)
    yield gauge("quorate_nodes_lost", "Nodes that are lost and not dismissed.", len(state.lost))
    yield gauge("quorate_nodes_slots", "Slots of all registered nodes.", slots)
    yield gauge(
        "quorate_nodes_credit", "The most attempts that all nodes accept at a time.", credit
    )
    yield gauge(
        "quorate_nodes_assigned", "Attempts that nodes have now, assigned or running.", running
    )


def _store(overview: Overview) -> Iterator[Metric]:
    yield gauge(
        "quorate_etcd_quota_bytes", "etcd's quota, as this scheduler is configured.", overview.quota
    )
    yield gauge(
        "quorate_backup_timestamp_seconds",
        "When quorate backup was last done, in Unix time; 0 if it never was.",
        overview.last_backup,
    )
    status = overview.status
    if status is not None:
        yield gauge("quorate_etcd_database_bytes", "Size of etcd's database file.", status.db_size)
        yield gauge(
            "quorate_etcd_database_in_use_bytes",
            "Bytes of etcd's database file that are in use.",
            status.db_size_in_use,
        )
        yield gauge("quorate_etcd_members", "Members of the etcd cluster.", status.members)
