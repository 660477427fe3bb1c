"""Live updates: the WebSocket `/v1/live`. docs/live.md is its protocol.

One watch or poll of the cluster serves every client that wants the same:

    cluster --> watch --> journal --> taskfeed -.                 .--> session --> wire --> client
            --> polled, services --> keyed -----+--> feed (shared) --> ...
            --> logs (one for each subscription) ---------------------^

Pure:  filters requests tokens entries journal feed taskfeed keyed rates frames
I/O:   wire (a connection) session hub tasks watch polled services logs leader pace crew calls
`part` is what `gateway.app` composes; `limits` has every bound.
"""
