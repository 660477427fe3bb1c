"""Tasks that run: their progress, signals, pauses."""
