"""Replicas of services on this node: their ports, their health, and their records in etcd."""
