"""Consumers. `ledger` has the rules without I/O; `consumer` and `aconsumer` are twins."""
