"""What the streams of both directions share: when one is dead, and how often it is opened again."""
