"""Policies: requests, and what of them callers see."""
