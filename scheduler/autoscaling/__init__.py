"""PURE: how many nodes are wanted, for whoever starts and ends them.

`ask` (what a trigger's metadata says), `look` (what there is of it), `plan` (how many). Nothing is
kept: a new leader answers from the state that it folded. `scheduler.api.external_scaler` serves it.
"""
