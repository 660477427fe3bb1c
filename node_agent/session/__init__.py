"""The agent's side of a session with the leader, and its registration in etcd."""
