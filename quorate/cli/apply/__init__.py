"""`quorate apply -f FILE`: what a cluster should have, as a file; the difference; its removal."""
