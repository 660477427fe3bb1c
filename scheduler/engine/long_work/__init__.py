"""What would hold the event loop of a leader for long, in short slices and in turn."""
