"""Warm workers: their lanes, how they are started and ended, what passes between them and us."""
