"""Schedules: when they fire, and what becomes of an instant at which one cannot.

`expression` reads cron, `local_time` maps local times to instants across changes of the clock,
`ticks` joins them, `rules` decides. All instants are microseconds since the Unix epoch.
"""
