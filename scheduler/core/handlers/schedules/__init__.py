"""Schedules: what callers ask of them (`calls`), and what they do by themselves (`due`)."""
