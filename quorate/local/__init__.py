"""A whole cluster on this machine: etcd, schedulers and node agents under one supervisor.

What `quorate up` and the demo run. The services are separate processes (`python -m scheduler`,
`python -m node_agent`); nothing here imports them. Not for production: one machine, one etcd.
"""
