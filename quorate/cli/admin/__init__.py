"""Commands of an operator: local clusters, doctor, backup, certificates, tokens."""
