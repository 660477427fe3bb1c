"""What a connection has in the cluster: `publisher` and `session` (streams that go on with the next
leader), `outbox` and `held` (what they keep for that), `calls` (unary ones)."""
