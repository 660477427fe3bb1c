"""The scheduler's pure state machine. No I/O, no clock, no randomness: see docs/architecture.md."""
