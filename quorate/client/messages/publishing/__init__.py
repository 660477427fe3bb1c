"""Producers. `window` has the rules without I/O; `producer` and `aproducer` are twins."""
