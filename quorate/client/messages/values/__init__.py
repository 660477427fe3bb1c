"""Messages and declarations as Python values. No I/O: both clients share it."""
