"""Messages from programs: published to exchanges, consumed from message queues and streams.

values        messages, headers and declarations as Python values; no I/O
streams       what both directions share: when a stream is dead, and how often it is opened again
publishing    producers: numbers, batches, confirms
consuming     consumers: deliveries, settlements, the inventory of a session that goes on
requesting    request and reply
running       `@quorate.consumer`
methods | amethods      what `Client` and `AsyncClient` have
"""
