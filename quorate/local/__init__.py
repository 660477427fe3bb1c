"""A whole cluster on this machine: etcd, schedulers and node agents under one supervisor.

What `quorate up` and the demo run. The services are separate processes (`python -m scheduler`,
`python -m node_agent`); nothing here imports them. Not for production: one machine, one etcd.
"""

import os

# Before gRPC is imported: children are started with a function between fork and exec (they must die
# with us), and gRPC's own fork handlers, which run there too, can end a child before its exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
