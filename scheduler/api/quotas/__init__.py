"""Calls about quotas of callers and queues."""
