"""The calls about queues."""
