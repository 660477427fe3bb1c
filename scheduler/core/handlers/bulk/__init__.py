"""Calls about many tasks: CancelTasks, RetryTasks, DeleteTasks.

`parts` is what they share; `acts` and `retry` say what becomes of one task.
"""
