"""Messages on their way to consumers: of queues, of streams, one by one."""
