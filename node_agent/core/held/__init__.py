"""What a node has: attempts, and the chunks among them. Pure."""
