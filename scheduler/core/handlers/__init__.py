"""What the machine does with each event: one file per family of events. Pure."""
