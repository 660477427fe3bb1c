"""What clients subscribe to: one file per topic, and the feeds that they share."""
