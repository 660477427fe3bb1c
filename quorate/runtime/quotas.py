"""What quotas mean on the wire, for the scheduler, its servers and the command line."""

from typing import Final

UNLIMITED: Final = -1
"""A limit that is none. (0 allows nothing; what is not set takes the default.)"""
