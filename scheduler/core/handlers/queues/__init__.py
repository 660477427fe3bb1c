"""Queues: what callers ask of a whole queue. Pure."""
