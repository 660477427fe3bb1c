"""Commands about the cluster: its status, nodes, queues, quotas and audit log."""
