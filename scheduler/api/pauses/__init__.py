"""The calls about pauses of all tasks that match."""
