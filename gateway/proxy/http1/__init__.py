"""HTTP/1.1 messages, read and written strictly. Pure."""
