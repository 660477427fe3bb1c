"""What a task runs with: its work, environment variables, user, secrets, and share of the
machine."""
