"""The broker's engine: steps events of message queues, writes them to the term's journal.

| module | holds |
|---|---|
| `driver` | events in, writes to the journal, effects after the commit |
| `group` | the writes of several events, joined into one entry of the journal |
| `outbox` | what sessions get, held back while the leader is not trusted |
| `ends` | messages about the ends of tasks and jobs |
| `parts` | parts of large events that wait for their turn |
| `chunk_reads` | chunks that are read back from etcd |
| `ports` | what it needs of the rooms above |
"""
