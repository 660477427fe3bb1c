"""Large values: bytes that are too many for a record are in a blob store; the record names them.

| file | holds |
|---|---|
| `names.py` | what a record says of a value: digest, upload, size; the ages that rules are about |
| `urls.py` | which URLs name a store |
| `store.py` | reads, writes, lists and deletes objects, by `fsspec` |

`names` and `urls` import only a little of the standard library: the scheduler's pure core and every
worker use them. `store` imports `fsspec`, when a value is met.
"""
