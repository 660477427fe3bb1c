"""How attempts are run: programs by the spawner process, Python calls in warm workers."""
