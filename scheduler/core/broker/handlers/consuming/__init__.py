"""Sessions, consumers, deliveries and settlements: one function for each event.

| module | does |
|---|---|
| `sessions` | sessions that open, come back, are lost, end; a new leader |
| `consumers` | subscribe, unsubscribe, credit, ends of consumers |
| `inventory` | what a session that came back has |
| `deliveries` | which consumer gets which message; readers of streams; single messages |
| `settling` | ack, nack, requeue, reject, touch |
| `delaying` | nack or requeue with a delay |
| `replying` | who gets direct replies |
| `returning` | deliveries that come back |
| `times` | consumer timeouts; deliveries that go on record |
| `records` | who may consume; that it is on record |
| `table` | all of them by event, for the machine |
"""
