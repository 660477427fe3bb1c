"""Replicas on a node: their attempts, and their health. Pure."""
