"""Live updates: the WebSocket `/v1/live`. docs/live.md is its protocol.

One watch or poll of the cluster serves every client that wants the same:

    cluster --> watch --> journal --> taskfeed -.                 .--> session --> client
            --> polled, jobs, services --> keyed +--> feed (shared) --> ...
            --> logs (one for each subscription) ---------------------^

    topics/     what clients subscribe to        cluster/    what topics read of the cluster
    messages/   requests and answers             session, client_connection: one client

`endpoint` is what `gateway.app` composes; `limits` has every bound.
"""
