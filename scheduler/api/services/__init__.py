"""Calls of the service registry: services, their instances, and watches of both."""
