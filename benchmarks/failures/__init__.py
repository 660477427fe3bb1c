"""What a failure of the leader costs."""
