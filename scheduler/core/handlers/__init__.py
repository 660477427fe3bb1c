"""What the machine does with each event: a folder for each family of events. Pure."""
