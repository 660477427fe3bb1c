"""Whether names match patterns of strangers."""
