"""The bounds of task specs, for the families whose requests hold them."""
