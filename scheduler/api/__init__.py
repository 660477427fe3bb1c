"""The gRPC services of a scheduler: what clients, gateways and the command line call."""
