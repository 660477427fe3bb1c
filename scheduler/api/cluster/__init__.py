"""Calls about the cluster as a whole: its overview, etcd's health, and the audit log."""
