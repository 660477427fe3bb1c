"""Looks a cluster over and says what to do: `quorate doctor`.

    Targets --examine--> findings, each with a level, a sentence and, unless all is well, advice

Reads everything and changes nothing but a key of its own in etcd, outside the cluster's, which it
deletes again. What it cannot reach is a finding, not an error.
"""
