"""What is limited: what a leader keeps, what callers and queues may have, what may start. Pure."""
