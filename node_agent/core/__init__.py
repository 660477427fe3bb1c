"""What an agent decides, without any I/O: slots, credit, the outbox and the life of attempts.

PURE: no asyncio, grpc, etcd, clock, randomness, threads or files. Times are arguments, in seconds
of a monotonic clock. `machine.Machine` takes events and gathers `effects.Effects`; the driver
(`node_agent.engine.driver`) carries them out.
"""
