"""The gRPC services of a scheduler: what clients, gateways and the command line call.

A folder holds one family of calls. All have the same shape, as far as a family needs it:

| file | holds |
|---|---|
| `servicer.py` | a class with one method for each RPC: request in, event or read, answer out |
| `validate.py` | the bounds of its requests |
| `views.py` | its answers, made from rows and records |
| `watches.py` | its streams of changes |

Families do not import each other (`make check` fails). What several need is beside the folders:
`asking` (ask the driver, request ids, pages), `validate`, `views`, `specs`, `page_tokens`.
`forwarding` serves every RPC, at the leader and at standbys, and never changes for a family.

To add a family:

1. Add the RPCs to the proto, with their HTTP and authorization annotations; run `make protos`.
2. Add the folder with a servicer whose methods have the names of the RPCs.
3. Name it in `servicers.servicers`, which fails when an RPC has no family or two, and construct it
   in `scheduler.leadership.parts`.
4. Name the folder in the contract "scheduler.api: families stand side by side" of `pyproject.toml`.
5. Where a request may be larger than 64 KiB, say so in `request_sizes`.
"""
