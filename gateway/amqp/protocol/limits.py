"""Bounds of one connection. Each says what it bounds."""

from __future__ import annotations

from typing import Final

# What the gateway offers in connection.tune. A channel costs about 2 KiB while it is idle.
CHANNEL_MAX: Final = 2_047
FRAME_MAX: Final = 131_072
# Bytes of a frame before connection.tune-ok: a login with the longest token has 8 KiB of it.
FIRST_FRAMES: Final = 16_384
HEARTBEAT: Final = 60
# Seconds until connection.open-ok, from the first byte on.
HANDSHAKE: Final = 10.0
# Seconds that the client has to answer connection.close, and then to take what is written.
CLOSE: Final = 5.0
# Bytes of one body, unless the cluster says another number.
MOST_BODY: Final = 1 << 20
# Bytes of bodies that are not complete, of all channels: one of the largest that a cluster takes.
MOST_ASSEMBLING: Final = 16 << 20
# Consumers of one channel.
MOST_CONSUMERS: Final = 4_000
# Of a transaction: as many as one commit takes.
MOST_TX: Final = 512
MOST_TX_BYTES: Final = 512 << 10
# Bytes of messages of transactions that are not committed, of all channels, each counted with
# `TX_MESSAGE` more. Not a reason to stop reading: the commit may be what comes next.
MOST_TRANSACTING: Final = 8 << 20
TX_MESSAGE: Final = 256
MOST_PREFETCH: Final = 65_535
