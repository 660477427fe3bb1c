"""Which instance of a service gets a request: health, load balancing, limits, retries."""
