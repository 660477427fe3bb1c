"""The `quorate` command.

Results go to standard output, everything for people (hints, progress, errors) to standard error.
Every reading command has `--json`. Exit codes are listed in `quorate.cli.exits`.
"""
