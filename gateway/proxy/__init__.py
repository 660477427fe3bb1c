"""The load-balancing proxy: a cluster of services behind the gateway's one address.

It works beside the ASGI application, at the level of asyncio protocols: `ClientConnection` reads
each request head, and decides per request whether it is the application's (its bytes go to
uvicorn's protocol) or a service's (its bytes go to an instance). Bytes are forwarded as they come,
with backpressure in both directions, and nothing here grows with the size of a body.

    client -> front.Front --head--> wire.parse_request, paths.normalise
                 |  `/services/<name>/...` or a service's host            anything else
                 v                                                             v
              exchange.Exchange -- balance, ejection, limits --> link.Link   asgi.Application
                                                                 (pool.Pool)

Pure (values in, values out; time and randomness are arguments):
    wire       request and response heads, strictly     framing    bodies: length, chunked, to end
    paths      the path, normalised once                forward    heads as they are passed on
    policy     a service's policy with its defaults     balance    which instance
    ejection   instances that fail                      limits     rates and budgets
    stats      counters and latency buckets             problems   failures as problem+json
    vitality   what checks of outside instances say     faults     when no instance answers

`proxy.Proxy` owns the rest: services as the view shows them, their pools, the clock that ends what
takes too long; `checks.Checks` asks outside instances how they are. One event loop; nothing is
shared between processes.
"""
