"""Clients in other languages. Their tests are in `tests`."""
