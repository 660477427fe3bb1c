"""Every bound of the live updates, in one place. Bytes, seconds and counts.

The memory of one gateway is at most about the sum of: `JOURNALS` x `JOURNAL_BYTES` (recent events),
`FEEDS` x `FRAME` (windows of snapshots), `SPEC_BYTES`, and `PENDING` (what clients have not read);
all but the last for each caller (token) that is connected.
"""

from __future__ import annotations

from typing import Final

# -- clients
CONNECTIONS: Final = 2_000
# Different tokens of them: each has recent events and snapshots of its own.
CALLERS: Final = 64
# Different tokens of which the cluster has not said yet whether it knows them.
UNPROVEN: Final = 64
SUBSCRIPTIONS: Final = 64
MESSAGE: Final = 65_536
# Objects, arrays and members of one: what the largest filter needs, and parsed in two milliseconds.
VALUES: Final = 4_000
# Bytes of what a client sends that are taken apart before its rate is looked at.
SLICE: Final = 1_024
# Frames of any kind that a client may send a second, and at once.
MESSAGES_A_SECOND: Final = 50
# Messages that are not understood until the connection is closed.
MALFORMED: Final = 5
ID_LENGTH: Final = 64
# Names or ids in one filter.
NAMES: Final = 1_000
IDS: Final = 256
LABELS: Final = 32
# Jobs in one filter, and of all filters together those that are asked for by their ids.
JOB_IDS: Final = 32
# The newest ones, which every subscription to `jobs` without ids has.
JOBS: Final = 100
# Tasks of a snapshot: default and most.
LIMIT: Final = 100
MOST_LIMIT: Final = 1_000
TAIL_LINES: Final = 100_000

# -- what waits for a client
# Unsent bytes of one connection: above HIGH it gets no deltas; below LOW it gets a snapshot.
HIGH: Final = 256 * 1024
LOW: Final = 64 * 1024
# The kernel's share of that.
SOCKET_BUFFER: Final = 256 * 1024
# One frame; a delta beyond it becomes a snapshot, a snapshot is cut to it.
FRAME: Final = 1024 * 1024
# Of all connections together: beyond it the fullest ones are closed first.
PENDING: Final = 256 * 1024 * 1024
# Seconds above HIGH until a connection is closed with 1013.
STALL: Final = 10.0
PING: Final = 15.0
# Without a byte from the client, which answers pings, it is gone.
SILENCE: Final = 30.0
# Between a close frame and the end of the connection.
FAREWELL: Final = 2.0

# -- feeds
# Between two deltas of one subscription.
INTERVAL: Final = 0.1
# Until a quiet feed sends a new resume token.
RENEWAL: Final = 60.0
FEEDS: Final = 512
# Ids that a filtered feed remembers having sent; beyond it there is a fresh snapshot.
SENT_IDS: Final = 10_000
# Pages of 1,000 that are looked through for a snapshot by label.
SCAN_PAGES: Final = 10

# -- recent events
JOURNALS: Final = 16
EVENTS: Final = 20_000
JOURNAL_BYTES: Final = 16 * 1024 * 1024
# A watch without subscribers goes on for so long: a page that is loaded again resumes from it.
LINGER: Final = 30.0
SPECS: Final = 20_000
SPEC_BYTES: Final = 32 * 1024 * 1024
# A result, error or payload beyond it is left out of live items.
PART: Final = 4096
# Tasks that are read at the same time, for a snapshot by id.
READS: Final = 16

# -- the rest
LOG_TAILS: Final = 256
ENTITIES: Final = 10_000
POLL: Final = 1.0
# Between two looks for the leader.
PROBE: Final = 0.25
# So long every look must find none before clients are notified: less than a second together
# with a look.
LEADERLESS: Final = 0.5
# How long a look may take, and for how long none may be answered before clients hear that the
# cluster does not answer. A cluster under load answers late; that says nothing about its leader.
# Longer than a standby waits for a leader to be known (3 s) before it says that there is none.
PROBE_TIMEOUT: Final = 4.0
SILENT: Final = 6.0
# How long a look may take once one has said that there is no leader.
RETRY_TIMEOUT: Final = 0.7
# Until a call to the cluster for a snapshot is given up.
CALL: Final = 10.0
# Of what a resuming client missed, fetched from the cluster.
CATCH_UP: Final = 5.0
# At the same time.
CATCH_UPS: Final = 16
