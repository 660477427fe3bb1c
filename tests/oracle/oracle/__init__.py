"""The same AMQP steps against Quorate and against Debian's RabbitMQ: `make amqp-oracle`."""
