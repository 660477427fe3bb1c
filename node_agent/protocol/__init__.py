"""Messages between the agent, its spawner and its workers."""
