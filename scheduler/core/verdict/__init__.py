"""What is wrong with the cluster, as a list of problems. Pure."""
