"""The message broker's rules: pure, like all of `scheduler.core`. No I/O, no clock, no randomness.

| room | decides |
|---|---|
| `routing` | which message queues a published message reaches: exchanges, bindings, virtual hosts |
| `storage` | how messages lie in chunks, and what of them is acknowledged |
| `queues` | one message queue: order, priority, what is out, bodies in memory; streams |
| `consuming` | credit, deliveries, redelivery, single active consumer, ordering keys |
| `handlers` | what each event does |

`machine` steps `events` over a `state` and says what is wanted: `effects`. `routing` knows message
queues by name alone, so it imports none of the others; they stand above it.
A message queue is another thing than a (task) queue: `scheduler.core.queues` is about tasks.
"""
