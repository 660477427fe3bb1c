"""What operators do from programs: pauses of all tasks that match, and taints of nodes."""
