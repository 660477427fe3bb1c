"""The AMQP 0-9-1 door: clients of RabbitMQ use the cluster's broker by changing the address.

| room | holds |
|---|---|
| `wire` | frames, methods, tables, properties: bytes and values (pure) |
| `protocol` | what a connection and a channel do with them (pure) |
| `cluster` | streams and calls to the schedulers, which go on with the next leader |
| `client_channel`, `link`, `client_connection`, `component` | what joins the three: asyncio |
| `login`, `hall`, `metrics` | who may come in, what connections share, figures |

A connection belongs to one gateway process; all else is in the cluster. So any number of gateways
serve it, and a client that comes back to another one goes on.
"""
