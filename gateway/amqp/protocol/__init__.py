"""What a broker of AMQP 0-9-1 does with what its clients send, as pure state machines.

`connection` (bytes in, events and bytes out), `handshake` (until it is open), `assembly`
(content of several frames), `channel` (methods in, effects out), and what a channel is made of.
"""
