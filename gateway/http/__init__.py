"""What every HTTP answer of the gateway shares: hosts, listener, problems, JSON."""
