"""The calls about jobs."""
