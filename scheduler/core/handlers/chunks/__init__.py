"""What becomes of subtasks on nodes.

`life` follows a chunk from the choice of its node to its end, and `ending` says when a job is over.
What callers ask for of jobs is in `scheduler.core.handlers.jobs`.
"""
