"""CancelTasks, RetryTasks and DeleteTasks: which tasks are meant, one event for them, the answer.

`find` is what they share; `calls` has their requests and answers. `whole` goes through all pages of
a filter in one call: CancelAllTasks, RetryAllTasks and DeleteAllTasks.
"""
