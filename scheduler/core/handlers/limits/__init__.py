"""Limits: what holds tasks back, who changes it, and what a full queue does with new tasks."""
