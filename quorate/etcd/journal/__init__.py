"""The journal: one fenced Txn for everything that arrived meanwhile."""
