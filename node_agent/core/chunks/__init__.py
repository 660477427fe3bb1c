"""Chunks: attempts whose work is some subtasks of an array."""
