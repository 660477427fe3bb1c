"""The words of a text, counted by a graph of tasks."""
