"""From a call to its answer: the caller is checked, then this process or the leader answers."""
