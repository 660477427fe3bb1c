"""The bytes of AMQP 0-9-1: `buffers` (primitives), `tables` (field tables), `methods` (arguments of
each method), `properties` (of messages), `frames` (what carries them), `replies` (reply codes).

Pure: no I/O. Bad input raises `Malformed` or `AmqpError`, never anything else.
"""
