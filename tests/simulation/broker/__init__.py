"""A cluster of message queues, with standbys and a bad network: `world`, its `producers` and
`consumers`, and the `promises` that are kept whatever fails."""
