"""The bounds of consuming. Each says what it bounds."""

from __future__ import annotations

from typing import Final

# Messages, and bytes of their bodies, that one step delivers from one queue: one may be larger.
STEP_MESSAGES: Final = 512
STEP_BYTES: Final = 1 << 20
# Bodies that a consumer without a prefetch limit may have unsettled, and what a message counts
# beside its body: so it is 65,536 messages at most.
UNLIMITED_BYTES: Final = 64 << 20
MESSAGE_BYTES: Final = 1_024
MOST_PREFETCH: Final = 65_535

# Sessions, and consumers of all of them, that a leader takes; about 1 KiB each.
SESSIONS: Final = 50_000
CONSUMERS: Final = 100_000
# Consumers of one session, those that ended with unsettled deliveries included, and queues that its
# record names: 20 KiB.
SESSION_CONSUMERS: Final = 4_096
SESSION_QUEUES: Final = 1_024
# Unsettled deliveries of all consumers of queues, and of all of streams, about 250 bytes each.
# Nothing is delivered beyond. Two bounds: readers of streams that settle nothing stop no queues.
UNSETTLED: Final = 2_000_000
STREAM_UNSETTLED: Final = 1_000_000
# Fetches of a queue that wait for a body to be read.
FETCHES: Final = 1_000
# Messages of a queue that wait for an earlier one of their ordering key. With more, all wait.
WAITING_FOR_KEYS: Final = 10_000
# Of nack, seconds.
MOST_DELAY: Final = 365 * 86_400.0

# Deliveries that are older go on record as deliveries in vain, until they are settled.
RECORD_AFTER: Final = 1.0
# So many in one step; and between two steps of one queue at least so many seconds, so that they
# come in batches.
RECORD_MESSAGES: Final = 1_000
RECORD_EVERY: Final = 0.25
# Deliveries that one step settles or takes back, if they are of few chunks: each chunk may be a
# write, and half of `BrokerLimits.step_writes` bounds those.
STEP_SETTLED: Final = 5_000
MOST_NAME_BYTES: Final = 255
MOST_PRIORITY: Final = 127
LEAST_SESSION_CHARACTERS: Final = 16
MOST_SESSION_CHARACTERS: Final = 128
