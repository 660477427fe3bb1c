"""The loop of an agent: what the core decides is carried out here."""
