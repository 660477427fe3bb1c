"""How chunks are run: pieces at a warm worker, programs one after the other at the spawner."""
