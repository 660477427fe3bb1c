"""One message queue: its sub-logs, what of them is ready and in which order, and its bodies.

| module | holds |
|---|---|
| `checks` | what clients may not declare |
| `ids` | delivery ids |
| `lane` | one sub-log and what of it is ready, given out, or waits for an instant |
| `envelope` | what is read of a message; `deaths`: how it changes when it is dead lettered |
| `flags` | what the broker notes beside a message |
| `window` | the bodies in memory, of all queues |
| `contents`, `queue` | a message queue: lanes by priority, the delayed lane; what consumers use |

What a leader and a standby both hold are the sub-logs; the rest is a leader's, made anew by
`MessageQueue.lead`.
"""
