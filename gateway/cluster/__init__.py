"""Calls from the gateway to the cluster, and its live view of services."""
