"""The loop of a leader: event -> step -> commit -> effects, and admission of writes."""
