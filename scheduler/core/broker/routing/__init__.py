"""Which message queues a published message reaches.

    Router                 one call for each thing that a client declares, binds, deletes, publishes
      VirtualHost          a name space: exchanges, names of message queues, bindings
        ExchangeState      an exchange's row and its matcher
          Matcher          direct, fanout, topic, headers, x-consistent-hash, the default exchange

State: rows (`Exchange`, `Binding`, names of virtual hosts and queues) and what is derived from
them. `Router.declare`, `bind` and the rest check, change the state and return the rows that
changed: what the caller puts on record. A standby folds the same rows with `put_exchange`,
`put_binding`, `drop_exchange` and `drop_binding`, which check nothing and remove nothing else.
Exchanges and queues are put before their bindings. The same rows route the same way, in whatever
order they were put.

Failure: a call that raises `QuorateError` has changed nothing.

Memory: 0.6 to 2.3 KiB for each binding with its queue, by type of exchange (`python -m benchmarks
routing`); the records in etcd, whose size is bounded, bound their number. A topic exchange caches
at most `topic.MOST_CACHED` destinations.

The semantics are RabbitMQ's; each test cites the page or source file. Where we differ:

* A binding key of a topic exchange may have any number of `#` (RabbitMQ's latest source: two).
* A timestamp header matches an equal timestamp in a binding. In RabbitMQ 4 it matches none, because
  the header is multiplied by 1,000 and the binding is not.
* At most `checks.MOST_KEYS` keys in CC and BCC, each of at most 255 bytes.
* An alternate exchange may be the default exchange. RabbitMQ accepts it, and drops the messages.
* Consistent hash: another hash function; after a restart, keys go to the same queues as before.
* Arguments of bindings nest at most `fields.MOST_DEPTH` deep; a header that nests deeper is present
  but equals nothing.
"""
