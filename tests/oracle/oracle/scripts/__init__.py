"""What is done, by subject. Each script gets a `Session` and does steps of it."""
