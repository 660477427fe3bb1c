"""Quotas: how an admin sets them, and whether new tasks exceed them. Pure."""
