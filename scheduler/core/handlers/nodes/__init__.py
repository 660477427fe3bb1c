"""Nodes: registered, in session, cordoned, drained, suspect, lost; ended by a scale-down. Pure."""
