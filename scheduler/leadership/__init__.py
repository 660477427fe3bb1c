"""Election, leadership terms and failure detection."""
