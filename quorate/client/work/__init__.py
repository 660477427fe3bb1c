"""From a function or a program to the spec of a task."""
