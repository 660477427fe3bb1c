"""What the system does on this machine: `python -m benchmarks`."""
