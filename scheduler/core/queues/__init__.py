"""PURE: in what order a queue's tasks go, where each is found, and how long finished ones stay."""
