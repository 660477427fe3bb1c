"""The leader's sessions with node agents.

One session to each agent: orders go out, reports come back as events. What an agent sends is
checked against what the leader gave it before the core sees it.
"""
