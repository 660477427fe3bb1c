"""Many tasks at once: `map`, batches, bulk cancel."""
