"""Benchmarks of the message broker."""
