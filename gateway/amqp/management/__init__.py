"""A read subset of RabbitMQ's management API, for what asks RabbitMQ over HTTP: KEDA, Flower.

    socket -> server (bounds) -> api: route, login -> views: one function for each path
                                                        |   reading: bounded calls with the
                                                        |   caller's own credential
                                                        v
                                                      paging -> JSON

The gateway keeps nothing of it but `rates`: what it read last of the counts of a queue. Every call
to the cluster is the caller's: its permissions, patterns and quotas decide.

Shapes: https://www.rabbitmq.com/docs/http-api-reference
"""
