"""The calls about schedules."""
