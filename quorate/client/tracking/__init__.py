"""How the SDK learns what became of tasks: one watch for many outcomes."""
