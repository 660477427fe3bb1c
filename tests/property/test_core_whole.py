"""Any interleaving of what callers, agents, time and leaders may do to the whole core: tasks,
arrays, graphs, limits, ordering and unique keys, pauses, taints and rules, schedules, services.

The actions are those of the seeded histories (`tests.support.core_history*`, `test_jobs_fold`);
here hypothesis chooses them and what they draw, and makes a failing history short. The core's own
invariants, and of every start what it must obey (`tests.support.core_starts`), are checked in each
step; after each, a standby that loads the log knows what the leader knows. At the end nothing holds
anything back, and everything ends: no permit and no turn is left.
"""

from __future__ import annotations

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.property.test_jobs_fold import JobsHistory
from tests.support.core_history_more import MoreHistory
from tests.support.same_state import differences, settle


class WholeHistory(MoreHistory, JobsHistory):
    """Everything at once."""


# What most of a history is made of, and everything else that may happen.
WORK = ("do_submit", "do_batch", "do_job", "do_graph", "do_schedule", "do_tick", "do_node")
AGENTS = ("do_start", "do_finish", "do_report", "do_report", "do_whole_chunk", "do_part")
ANYTHING = sorted(name for name in dir(WholeHistory) if name.startswith("do_"))
ACTIONS = [*WORK, *WORK, *AGENTS, *AGENTS, *ANYTHING]
# One number for all that an action draws: more of a history varies, and it can still be made short.
randoms = st.integers(0, 1 << 20).map(Random)


class WholeCore(RuleBasedStateMachine):
    """One history, drawn by hypothesis."""

    @initialize(seed=st.integers(0, 3))
    def begin(self, seed: int) -> None:
        self.history = WholeHistory(seed)
        self.history.do_node()

    @rule(what=st.sampled_from(ACTIONS), random=randoms)
    def act(self, what: str, random: Random) -> None:
        self.history.rng = random
        getattr(self.history, what)()

    @rule(seconds=st.sampled_from([0.0, 0.5, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.history.cluster.advance(seconds)

    @rule(random=randoms)
    def another_leader(self, random: Random) -> None:
        self.history.rng = random
        self.history.compare()
        self.history.fail_over()

    @invariant()
    def what_is_accepted_stays(self) -> None:
        self.history.log.flush()
        self.history.check_record()

    @invariant()
    def a_standby_knows_what_the_leader_knows(self) -> None:
        cluster = self.history.cluster
        fold = self.history.log.loaded()
        settle(fold.state, cluster.now)
        found = [
            difference
            for difference in differences(cluster.state, fold.state)
            # Instances of services that are gone: their agents delete the keys later. What is due
            # is PENDING with the leader's next step.
            if not difference.startswith("state.instances")
        ]
        assert not found, found


WholeCore.TestCase.settings = settings(
    max_examples=20, stateful_step_count=50, deadline=None, print_blob=True
)
TestWholeCore = WholeCore.TestCase
