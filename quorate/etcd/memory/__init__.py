"""etcd in memory, for tests and simulation."""
