"""Records of message queues: keys and bytes of what `scheduler.core.broker.storage` writes."""
