"""The SDK: what a program uses to have work done by a cluster.

Layers, each knowing only those above it:

    options, specs, outcome, chunk, ledger, endpoints      values and rules, no I/O
    waiting                                                tells a worker that its task waits
    calls | acalls                                         one RPC: deadline, retries, failover
    tracker | atracker                                     one watch stream: results of many tasks
    client, executor, decorator | aio                      what users see

It imports no service and no etcd. This module imports nothing: worker processes on the nodes
import `quorate.client.chunk` and `waiting`, and must not pay for gRPC.
"""
