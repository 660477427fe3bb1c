"""Schedules, as programs see them: `client.schedules`."""
