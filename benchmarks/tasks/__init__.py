"""What tasks cost: a second of them, one of them, a million that wait, floods of them."""
