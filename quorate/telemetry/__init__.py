"""What a process reports about itself: metrics for Prometheus, and whether it lives and is ready.

    Buckets, CallMetrics       counted on the hot path; a few hundred nanoseconds each
    a collector of a service   reads them, and the service's state, when somebody scrapes
    HealthServer               `/livez`, `/readyz` and `/metrics` on `--health-listen`

Nothing here is sent anywhere by itself, and nothing is kept that grows with tasks, queues or
clients: names that come from users are bounded by `labels.Bounded`.
"""
