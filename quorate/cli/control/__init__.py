"""Commands about what failed or is to change: retry, delete."""
