"""The programs that are measured, each run as a process of its own. See `__main__`."""
