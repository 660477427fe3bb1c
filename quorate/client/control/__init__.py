"""Methods of the clients about what was submitted: many tasks at once, failed ones."""
