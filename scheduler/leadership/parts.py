"""What one leadership term consists of, each part complete when it is constructed.

```
 journal <-- driver <--+-- families of calls <-- servicers <-- gRPC
              |        +-- sessions, feeds, overview, scale-down
              v                  |
            links to the node agents
```
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quorate.etcd.api import Etcd
from quorate.etcd.generation import epoch_of
from quorate.etcd.journal.journal import Journal
from quorate.runtime.ids import TaskIds
from quorate.runtime.timing.clock import Clock, TermClock
from quorate.security.limits import CallerLimits
from quorate.security.tls.dialer import Dialer
from quorate.telemetry.certificates import CertificateMetrics
from scheduler.agents.links import Links
from scheduler.agents.sessions import Sessions
from scheduler.api.asking import refused
from scheduler.api.broker.consuming.registry import ConsumeCalls
from scheduler.api.candidates import Candidates
from scheduler.api.cluster.members import EtcdMembers
from scheduler.api.cluster.overview import Overview
from scheduler.api.cluster.servicer import ClusterCalls
from scheduler.api.cluster.verdicts import Verdicts
from scheduler.api.dead_letters.servicer import DeadLetterCalls
from scheduler.api.forwarding.role import Servicers
from scheduler.api.jobs.graphs import scheduled
from scheduler.api.jobs.servicer import JobCalls
from scheduler.api.limits.servicer import LimitCalls
from scheduler.api.nodes.servicer import NodeCalls
from scheduler.api.pauses.servicer import PauseCalls
from scheduler.api.queues.servicer import QueueCalls
from scheduler.api.queues.templates import TemplateCalls
from scheduler.api.quotas.servicer import QuotaCalls
from scheduler.api.scaling.servicer import ScalingCalls
from scheduler.api.schedules.servicer import ScheduleCalls
from scheduler.api.servicers import servicers
from scheduler.api.services.servicer import ServiceCalls
from scheduler.api.services.watches import ServiceFeed
from scheduler.api.specs.check import SpecCheck
from scheduler.api.tasks.changes import Recent
from scheduler.api.tasks.logs.calls import LogCalls
from scheduler.api.tasks.servicer import TaskCalls
from scheduler.api.tasks.watches import Watches
from scheduler.config import SchedulerSettings
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.handlers.tasks.from_messages import MessageTasks
from scheduler.core.machine import Machine
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.plugins import Plugins
from scheduler.engine.broker.driver import BrokerDriver
from scheduler.engine.driver import Driver
from scheduler.engine.spans import TaskSpans
from scheduler.leadership.schedules import ScheduleRuns
from scheduler.leadership.sweep import BlobSweep
from scheduler.storage import records
from scheduler.storage.compaction_checkpoints import CompactionCheckpoints
from scheduler.storage.instances import InstanceKeys
from scheduler.storage.read_back import ReadBack
from scheduler.storage.reads import FencedReads
from scheduler.storage.records.broker.stored import StoredChunks
from scheduler.storage.records.broker.writes import BrokerCodec
from scheduler.storage.replica.fold import Fold
from scheduler.storage.result_merger import ResultMerger
from scheduler.telemetry.metrics import SchedulerMetrics


@dataclass(frozen=True, slots=True)
class ProcessParts:
    """What the terms of one process have in common."""

    settings: SchedulerSettings
    etcd: Etcd
    clock: Clock
    metrics: SchedulerMetrics
    dialer: Dialer
    session_key: bytes
    spans: TaskSpans | None
    """Traces of assignments; None: not wanted."""
    limits: Limits
    callers: CallerLimits
    checkpoints: CompactionCheckpoints
    plugins: Plugins


@dataclass(frozen=True, slots=True)
class ElectionWon:
    """The election that this process won.

    Attributes:
        elected: the leader key's create_revision; with the generation it is the epoch.
        trusted: whether the lease still lets this process dispatch and answer.
    """

    elected: int
    leader_key: bytes
    trusted: Callable[[], bool]


class TermParts:
    """The parts of one term.

    Args:
        fold: at rest, with all of the log.
        recent: the changes of tasks that watches begin with.
        journal: claimed.
    """

    def __init__(
        self, process: ProcessParts, won: ElectionWon, fold: Fold, recent: Recent, journal: Journal
    ) -> None:
        settings, etcd, state = process.settings, process.etcd, fold.state
        state.plugins = process.plugins
        self.epoch = epoch_of(fold.generation, won.elected)
        self.journal = journal
        ids = TaskIds(state.last_id or None)
        stored = FencedReads(
            etcd, settings.prefix, won.leader_key, won.elected, settings.etcd_max_txn_ops
        )
        self.links = links = Links(mark.instance for mark in state.scaling_down.values())
        self.driver = driver = Driver(
            Machine(state, process.limits),
            records.Codec(settings.prefix, state),
            journal,
            TermClock(process.clock),
            won.trusted,
            settings.etcd_max_txn_ops,
            ids,
            fold.generation,
            fold.latest,
            agents=links,
            metrics=process.metrics.tasks,
            confirm=stored.revision,
            read_back=ReadBack(state, stored, process.limits),
        )
        self.sessions = Sessions(
            driver,
            links,
            etcd,
            settings.prefix,
            self.epoch,
            settings.name,
            settings.unreachable_after,
            process.dialer,
            process.session_key,
            process.spans,
            process.metrics.agent_misbehaved,
        )
        max_blob = settings.max_blob_mib << 20 if settings.blob_url else 0
        self.overview = Overview(
            etcd,
            driver,
            settings.prefix,
            settings.cluster,
            self.epoch,
            settings.etcd_quota_mib << 20,
            process.checkpoints,
            settings.blob_url,
            max_blob,
            settings.max_message_kib << 10,
            members=EtcdMembers(settings).look if len(settings.endpoints) > 1 else None,
        )
        self.verdicts = Verdicts(driver, self.overview, CertificateMetrics(settings).expiries)
        self.sweep = BlobSweep(
            settings.blob_url,
            settings.cluster,
            state.blobs,
            lambda: driver.clock.now(),
            driver.barrier,
        )
        self.schedules = ScheduleRuns(driver, ids, process.clock, lambda: self.overview.full(0))
        # Some deletions are two operations, and others join the Txn.
        broker_limits = BrokerLimits(step_writes=min(400, settings.etcd_max_txn_ops // 3))
        tasks = MessageTasks(
            state,
            process.limits,
            ids.next,
            refused,
            settings.max_payload_kib << 10,
            records.message_template,
        )
        state.bound = fold.broker.state.router.bound_task_queue
        self.broker = BrokerDriver(
            BrokerMachine(fold.broker.state, broker_limits),
            driver,
            BrokerCodec(settings.prefix, fold.broker.later),
            StoredChunks(etcd, settings.prefix),
            won.trusted,
            settings.etcd_max_txn_ops,
            full=self.overview.full,
            plenty=lambda: self.overview.plenty,
            tasks=tasks,
        )
        self.consuming = ConsumeCalls(self.broker)
        self.watches = Watches(
            etcd, recent, lambda: journal.head_revision, stored.revision, won.trusted, state
        )
        self.result_merger = ResultMerger(driver, stored, settings.prefix)
        self.feed = ServiceFeed(driver, generation=fold.generation)
        self.candidates = Candidates(etcd, settings.prefix)
        self.quotas = QuotaCalls(driver, process.limits, process.callers)
        self.scaling = ScalingCalls(driver)
        check = SpecCheck(settings.max_payload_kib << 10, max_blob)
        keys = InstanceKeys(etcd, settings.prefix, won.leader_key, won.elected)
        full = self.overview.full
        jobs = JobCalls(
            driver,
            ids,
            etcd,
            settings.prefix,
            self.sessions.job_values,
            self.candidates,
            check,
            full,
        )
        self.servicers: Servicers = servicers(
            TaskCalls(
                driver,
                ids,
                stored,
                self.watches,
                check,
                full,
                self.candidates,
                jobs.subtasks,
            ),
            LogCalls(driver, stored, self.sessions, jobs.subtasks),
            DeadLetterCalls(driver, stored),
            jobs,
            QueueCalls(driver, self.candidates),
            TemplateCalls(driver, self.candidates, check),
            NodeCalls(driver, self.candidates),
            self.quotas,
            LimitCalls(driver, self.candidates),
            PauseCalls(driver, self.candidates),
            ClusterCalls(driver, stored, self.overview, self.verdicts),
            ScheduleCalls(driver, ids, process.clock, check, scheduled, self.candidates, full),
            ServiceCalls(*(driver, self.feed, keys, check, process.limits, full, self.candidates)),
            self.scaling,
            driver,
            self.broker,
            self.consuming,
            check.max_payload,
            settings.max_message_kib << 10,
            self.candidates,
        )

    def close(self) -> None:
        """The term is over: nobody waits any longer."""
        self.watches.close()
        self.feed.close()
        self.scaling.close()
        self.consuming.close()
        self.broker.close()
        self.driver.close()
