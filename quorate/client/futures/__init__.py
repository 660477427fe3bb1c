"""`concurrent.futures` on a cluster."""
