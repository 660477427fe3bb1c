"""KEDA's calls: how many nodes are wanted."""
