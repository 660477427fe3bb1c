"""Graphs of tasks: files that describe them, and how they look in a terminal."""
