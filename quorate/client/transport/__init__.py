"""How the SDK reaches a cluster: discovery, credentials, retries and failover of one call."""
