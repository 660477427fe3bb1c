"""Messages from and to clients of live updates. Pure."""
