"""CancelTasks, RetryTasks and DeleteTasks: which tasks are meant, one event for them, the answer.

`find` is what they share; `calls` has their requests and answers.
"""
