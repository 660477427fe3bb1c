"""The load-balancing proxy: a cluster of services behind the gateway's one address.

It works beside the ASGI application, at the level of asyncio protocols: `ClientConnection` reads
each request head, and decides per request whether it is the application's (its bytes go to
uvicorn's protocol) or a service's (its bytes go to an instance). Bytes are forwarded as they come,
with backpressure in both directions, and nothing here grows with the size of a body.

    client -> ClientConnection --head--> http1.heads, http1.paths
                 |  a service's host or path                   anything else
                 v                                                  v
              Exchange -- balancing (choice, limits) --> pool   Application
                                                                 (uvicorn)

    client_input, exchange_flow    buffers, timers and backpressure of the two
    downstream, router             what they know of each other, and of the proxy
    http1/                         heads, bodies, paths, problems: pure
    balancing/                     which instance, its health, limits, retries
    routes, options                which host or path is whose; the settings

`proxy.Proxy` owns the rest: services as the view shows them, their pools, the clock that ends what
takes too long; `checks.Checks` asks outside instances how they are. One event loop; nothing is
shared between processes.
"""
