"""Queues as records, and the limits and quotas that hold for them."""
