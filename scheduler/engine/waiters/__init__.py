"""Callers that wait: until a task has a node or has finished, until a job has finished."""
