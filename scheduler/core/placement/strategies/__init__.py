"""PURE: which of the nodes that may run a task is best. One file per strategy.

A strategy ranks the nodes once in a pass and keeps its ranking up to date as it assigns. To add
one: a value of `Placement` and of `quorate.v1.PlacementStrategy`, a file, and a line in `choosing`.
"""
