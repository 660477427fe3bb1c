"""The feed of topic `tasks` for one filter. Pure but for its subscribers.

It keeps a *window*: the newest tasks that match, as JSON, `limit` of them. Loaded once by listing,
it is kept up to date by the journal, so that a snapshot costs the cluster nothing. Deltas are about
every task that matches, in the window or not.

A task can stop matching a filter by state or label. Whether clients have it is then known from the
ids that were sent; there are at most `SENT_IDS` of them, and beyond that everybody gets a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.live import limits
from gateway.live.cluster.entries import Entry, Specs, task_text
from gateway.live.cluster.journal import Journal
from gateway.live.messages import frames
from gateway.live.messages.filters import TaskFilter
from gateway.live.topics.feed import Feed
from gateway.live.topics.said import ProgressSaid
from quorate.v1 import task_pb2


class TaskFeed(Feed):
    """Tasks that match `wanted`, as `journal` shows them."""

    def __init__(self, wanted: TaskFilter, journal: Journal, specs: Specs) -> None:
        super().__init__("tasks")
        self.wanted = wanted
        self._journal = journal
        self._specs = specs
        self._window: dict[str, bytes] = {}
        self._loaded = False
        # There are older tasks than the window's.
        self._cut = False
        self._sent: set[str] = set()
        self._said = ProgressSaid(wanted.limit)
        self._recheck: set[str] = set()
        self.started = False
        """Whether it has a place in the journal: the watch must have begun first."""
        self.position = journal.head
        self._token, self._revision = journal.token, journal.revision
        self._spoke: float | None = None
        # Events of these could not be judged: their labels are not known.
        self.unresolved: set[str] = set()

    @property
    def loaded(self) -> bool:
        """The window is there, and not worn thin by tasks that left it."""
        return self._loaded and (not self._cut or len(self._window) * 2 >= self.wanted.limit)

    def begin(self) -> None:
        """Start at the journal's head: what was before is not known."""
        self.started = True
        self.position = self._journal.head
        self._token, self._revision = self._journal.token, self._journal.revision
        self._loaded = False
        self.unresolved.clear()
        self._recheck.clear()
        self._said.clear()
        self.restart()

    def load(self, tasks: Iterable[task_pb2.Task], mark: int, *, more: bool) -> bool:
        """Take the tasks that a listing found.

        What was flushed while they were listed is folded over them here, and what is not flushed
        yet by the next flush: a version may thereby be sent twice, none is left out.

        Args:
            mark: the journal's head before the listing began.
            more: there are older ones.

        Returns:
            False when the journal forgot what happened since: they must be listed again.
        """
        entries = self._journal.since(mark)
        if entries is None:
            return False
        self._window = {}
        for task in tasks:
            if self._fits(task):
                if self.wanted.progress and task.HasField("progress"):
                    self._said.note(task, listed=True)
                self._window[task.id] = task_text(task, self._specs)
        self._cut = more
        self._loaded = True
        self._sent.update(self._window)
        # Clients that are live got these when they were flushed.
        self._sort([entry for entry in entries if entry.position <= self.position])
        self._trim(0)
        return True

    def _fits(self, task: task_pb2.Task) -> bool:
        wanted = self.wanted
        return (
            wanted.names(task.id, task.queue)
            and (not wanted.states or task.state in wanted.states)
            and wanted.has_labels(task.spec.labels)
        )

    def snapshot(self) -> bytes:
        """The newest tasks first; cut to the bound of a frame."""
        items, size = [], 0
        for name in sorted(self._window, reverse=True)[: self.wanted.limit]:
            text = self._window[name]
            size += len(text)
            if size > limits.FRAME:
                break
            items.append(text)
        return frames.snapshot("tasks", self._revision, str(self._token), items)

    def besides(self) -> bytes | None:
        """What the tasks of a snapshot said of their progress."""
        return _progress(self._said.of(self._window))

    def publish(self, now: float) -> None:
        """Flush, and send to every client that is live; progress goes behind the delta."""
        super().publish(now)
        rest = _progress(self._said.take_unsent())
        if rest is not None:
            self.notify(rest)

    def flush(self, now: float) -> bytes | None:
        """The delta since the last flush."""
        if not self.started:
            return None
        entries = self._journal.since(self.position)
        if entries is None or len(self._sent) > limits.SENT_IDS:
            self._sent = set()
            self.begin()
            return None
        entries += self._rechecked()
        self.position, self._token = self._journal.head, self._journal.token
        self._revision = self._journal.revision
        changed, removed = self._sort(entries)
        if not changed and not removed:
            return self._renewal(now)
        self._spoke = now
        return self._delta(changed, removed)

    def _renewal(self, now: float) -> bytes | None:
        if self._spoke is None:
            self._spoke = now
        if now - self._spoke < limits.RENEWAL:
            return None
        self._spoke = now
        return self._delta([], [])

    def _delta(self, changed: Sequence[bytes], removed: Sequence[str]) -> bytes | None:
        if sum(map(len, changed)) > limits.FRAME:
            self.restart()
            return None
        return frames.delta("tasks", self._revision, str(self._token), changed, removed)

    def _sort(self, entries: Sequence[Entry]) -> tuple[list[bytes], list[str]]:
        """Texts of those that match, and ids of those that do not any more; the window follows."""
        changed: list[bytes] = []
        removed: list[str] = []
        for entry in entries:
            if not self.wanted.names(entry.id, entry.queue):
                continue
            self._said.on_version(entry)
            if self._matches(entry):
                text = entry.text(self._specs)
                changed.append(text)
                self._window[entry.id] = text
                if self.wanted.partial:
                    self._sent.add(entry.id)
            else:
                self._window.pop(entry.id, None)
                if not self.wanted.partial or entry.id in self._sent:
                    self._sent.discard(entry.id)
                    removed.append(entry.id)
        self._trim(self.wanted.limit // 4)
        return changed, removed

    def _matches(self, entry: Entry) -> bool:
        wanted = self.wanted
        if entry.deleted or (wanted.states and entry.state not in wanted.states):
            return False
        if not wanted.labels:
            return True
        spec = self._specs.get(entry.id)
        if spec is None:
            if len(self.unresolved) < limits.EVENTS:
                self.unresolved.add(entry.id)
            return False
        return wanted.has_labels(spec.labels)

    def recheck(self, task_ids: Iterable[str]) -> None:
        """The labels of these are known now: the next flush judges them again."""
        self._recheck.update(task_ids)

    def _rechecked(self) -> list[Entry]:
        found = []
        for task_id in sorted(self._recheck):
            entry = self._journal.get(task_id)
            if entry is not None and entry.position <= self.position:
                found.append(entry)
        self._recheck.clear()
        return found

    def _trim(self, slack: int) -> None:
        limit = self.wanted.limit
        if len(self._window) > limit + slack:
            for name in sorted(self._window)[: len(self._window) - limit]:
                del self._window[name]
            self._cut = True

    def on_progress(self, said: Iterable[task_pb2.Task]) -> bool:
        """Take what running tasks said; whether there is something to publish."""
        wanted, found = self.wanted, False
        if wanted.states and task_pb2.TASK_STATE_RUNNING not in wanted.states:
            return False
        for task in said:
            if wanted.names(task.id, task.queue) and self._is_labelled(task.id):
                self._said.note(task)
                found = True
        return found

    def _is_labelled(self, task_id: str) -> bool:
        if not self.wanted.labels:
            return True
        spec = self._specs.get(task_id)
        return spec is not None and self.wanted.has_labels(spec.labels)

    def missed(self, position: int, fetched: Sequence[Entry]) -> bytes | None:
        """What a client with the state of `position` lacks of the last flush's.

        Not for a partial filter: it is not known which tasks, that match no more, the client has.

        Args:
            fetched: versions of before `position` that it lacks too.

        Returns:
            A delta, perhaps an empty one; None when a part is forgotten or it is too large.
        """
        assert not self.wanted.partial
        entries = self._journal.since(position)
        if entries is None or len(entries) + len(fetched) > limits.EVENTS:
            return None
        newest: dict[str, Entry] = {}
        for entry in (*fetched, *(one for one in entries if one.position <= self.position)):
            if entry.id not in newest or newest[entry.id].revision <= entry.revision:
                newest[entry.id] = entry
        changed: list[bytes] = []
        removed: list[str] = []
        for entry in newest.values():
            if not self.wanted.names(entry.id, entry.queue):
                continue
            if entry.deleted:
                removed.append(entry.id)
            else:
                changed.append(entry.text(self._specs))
        if sum(map(len, changed)) > limits.FRAME:
            return None
        return frames.delta("tasks", self._revision, str(self._token), changed, removed)


def _progress(items: list[bytes]) -> bytes | None:
    return frames.progress("tasks", items) if items else None
