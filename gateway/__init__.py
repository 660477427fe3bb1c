"""The gateway: what people see and what HTTP clients call.

One stateless process, as many replicas as wanted, which knows nothing that it did not learn through
the public gRPC API. `app` composes its parts, each a package of its own: `rest` (JSON over HTTP,
derived from the descriptors), and room for `live`, `proxy` and `ui`.
"""
