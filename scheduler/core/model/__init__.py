"""Values, rows, state, events and effects: what the machine works on. Pure."""
