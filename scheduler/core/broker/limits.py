"""The bounds of the broker. Each says what it bounds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """Bounds and times, in bytes and seconds.

    Attributes:
        step_bytes, step_writes: what one event may copy and write; more of it is done in parts.
        commit_bytes: what one event may write that is never done in parts. etcd refuses requests
            over 1.5 MiB.
        window_bytes: bodies in memory, of the process; those that are stored apart have up to half
            of it.
        inline_bytes: a larger body is stored apart from its message, in parts. That of a message
            whose copies in all queues are more than `step_bytes` is, too, unless the message has
            less than `least_shared_bytes`: what each queue keeps of it is as much.
        outgoing_bytes: bodies that are stored apart and on their way to clients: with more, no
            other one is sent. One may be larger.
        writing_bytes: bodies whose parts are being written. With more, clients' streams are not
            read.
        unused_bodies: bodies that one event deletes.
        step_messages: messages that one event expires, moves or takes.
        step_chunks: chunks that one event goes through.
        queues, exchanges, bindings, producers: how many there may be.
        offsets, stream_offsets: named offsets of all streams, of one; about 300 bytes each.
        policies, host_policies: of all virtual hosts, of one: each declaration looks at all of one.
        in_flight: messages of one queue that are published and not committed.
        refused_runs: runs of refused publications that are remembered, of all producers together;
            about 150 bytes each.
        announcing: bytes of messages about ends of tasks and jobs that wait for their commit, with
            1 KiB more for each; while more wait, further ones are dropped if the commit of their
            own task has no room.
        producer_keep: how long a producer's number is remembered.
        session_grace: how long a session whose stream broke may stay away.
        reattach_within: how long a new leader waits for the inventories of sessions.
    """

    step_bytes: int = 512 << 10
    step_writes: int = 400
    commit_bytes: int = 1_300_000
    window_bytes: int = 128 << 20
    inline_bytes: int = 1 << 20
    least_shared_bytes: int = 1_024
    outgoing_bytes: int = 64 << 20
    writing_bytes: int = 64 << 20
    unused_bodies: int = 64
    step_messages: int = 1_000
    step_chunks: int = 1_000
    queues: int = 100_000
    exchanges: int = 100_000
    bindings: int = 500_000
    in_flight: int = 200_000
    producers: int = 100_000
    offsets: int = 100_000
    stream_offsets: int = 256
    policies: int = 1_000
    host_policies: int = 100
    refused_runs: int = 200_000
    announcing: int = 16 << 20
    producer_keep: float = 600.0
    session_grace: float = 10.0
    reattach_within: float = 3.0
