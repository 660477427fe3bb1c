"""API tokens and JWTs: made, read, verified, revoked."""
