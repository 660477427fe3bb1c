"""The etcd server itself: found, started, looked after, its users and versions."""
