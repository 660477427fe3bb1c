"""Metrics of the agent and measurements of its machine."""
