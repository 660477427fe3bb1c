"""Services: their records, and the replicas that they need. Pure."""
