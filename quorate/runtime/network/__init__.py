"""Addresses, ports and connections."""
