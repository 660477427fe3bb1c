"""A cluster of message queues, with standbys and a bad network: `world`, its `producers` and
`consumers`, the `promises` that are kept whatever fails, and `bound`: messages that become tasks.
"""
