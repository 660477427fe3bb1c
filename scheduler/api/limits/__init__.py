"""The calls about limits that queues share."""
