"""Jobs: `creation` and `control` do what callers ask for, `upkeep` what the passing of time does.

What becomes of subtasks on nodes is in `scheduler.core.handlers.chunks`.
"""
