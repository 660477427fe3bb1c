"""The calls about dead letters: FAILED tasks grouped by error."""
