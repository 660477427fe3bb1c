"""What live updates read from the cluster: watches, polls, and recent versions of tasks."""
