"""The node agent: runs attempts that the leader assigns, on one machine.

It registers itself in etcd under a lease, serves the `NodeAgent` service that the leader dials,
and hands attempts to executors. What it decides is in `node_agent.core` (pure); the rest moves
bytes. See design section 5.
"""
