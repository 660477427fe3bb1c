"""Services, pure: which replicas to start and which to end."""
