"""Tasks as records: their specs, and their statuses."""
