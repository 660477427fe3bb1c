"""Cgroups of attempts: where they may be made, and one of them."""
