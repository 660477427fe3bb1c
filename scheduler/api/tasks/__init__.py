"""Calls about tasks: create, read, list, wait, watch, cancel, retry, delete, logs."""
