"""`map` as an array: a job whose subtasks are the calls."""
