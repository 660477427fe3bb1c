"""Logs of attempts on this node's disk: written, read and deleted here."""
