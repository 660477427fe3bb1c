"""What is more than one task: work that belongs together, and work that comes again."""
