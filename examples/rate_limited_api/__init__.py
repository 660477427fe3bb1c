"""A rate-limited web API, shared fairly between tenants."""
