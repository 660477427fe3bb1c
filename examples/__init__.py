"""Programs that show what Quorate is for. Each runs from a checkout: `python -m examples.demo`."""
