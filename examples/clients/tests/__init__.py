"""Builds every client and runs it against a cluster whose leaders are killed: `make clients`."""
