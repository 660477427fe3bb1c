"""Backups: a cluster's records in a file, written and restored."""
