"""What running tasks say of themselves, and how they end."""
