"""What the leader decides: how it cuts and orders work, explains it, and what waiting costs."""
