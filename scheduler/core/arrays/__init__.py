"""PURE: what is known of the subtasks of an array, in blocks of 4,096 positions.

`positions` has the arithmetic of positions, masks and ranges; `block` what is known of 4,096
subtasks; `array` the blocks of one job with their counters; `sizes` how many subtasks go into a
chunk.
"""
