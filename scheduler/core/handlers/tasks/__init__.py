"""Tasks, as callers ask for them: created, cancelled, retried, deleted, paused; deadlines. Pure."""
