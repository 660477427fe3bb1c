"""What becomes of subtasks on nodes.

`giving` gives chunks to nodes and asks them back, `life` follows them from there to their end,
`outcomes` keeps what came of subtasks, and `ending` says when a job is over. What callers ask for
of jobs is in `scheduler.core.handlers.jobs`.
"""
