"""How the messages of a queue lie in chunks, and what of them is acknowledged.

| module | holds |
|---|---|
| `format` | the bytes of a chunk: made, read, and kept apart from what later versions add |
| `index` | which chunks there are: a few numbers for each, no bodies |
| `records` | the values that are written: acknowledgements, deletions |
| `done` | what is done of the chunks that are partly done |
| `sub_log` | one sub-log: alive = in a present chunk and not acknowledged; leading and folding |
| `merging` | which chunks are merged or rewritten, and how |

A message queue has several sub-logs (its priorities, what is delayed), each with sequences, a
cursor and chunks of its own: see `places`. A leader and a standby hold the same state: the one
derives what it writes, the other folds it.
"""
