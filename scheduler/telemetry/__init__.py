"""Metrics and health of a scheduler process."""
