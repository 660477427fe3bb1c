"""The own tests of AMQP clients, run against Quorate: `make amqp-suites`.

Their sources are downloaded as source distributions of the versions in constraints.txt, into
`build/amqp-suites`. Nothing of them is in this repository. `expected` lists the tests that do not
pass, and why; docs/amqp.md has it as a table.
"""
