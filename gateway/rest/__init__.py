"""REST, derived from the descriptors of the public services: no RPC has a hand-written twin.

operations   what is served: one for each `google.api.http` binding
template     the path grammar                router      path -> operation
binding      request -> message              query, jsonread, scalars
calls        unary calls                     streams     NDJSON and Server-Sent Events
jsonwrite    message -> JSON                 problems    failures -> problem+json
openapi      the document, of the same operations; schemas, comments
docs         the page at /docs
part         what `gateway.app` composes
"""
