"""What a leader knows of consumers: no rule of it is on record but the sessions' queues.

| module | holds |
|---|---|
| `sessions` | sessions and consumers: what each has not settled, how much more it may get |
| `served` | a queue's consumers, the active one, whom it waits for |
| `registry` | all of them |
| `turns` | whose turn it is |
| `taking` | the next messages of a queue |
| `ordering`, `keys` | ordering keys |
| `replies` | addresses of direct replies |
| `settles` | which settlements are confirmed |
| `events` | what consuming steps itself |
| `bounds` | numbers |

The rules are in `handlers.consuming`.
"""
