"""Transactions: messages are published and deliveries settled in one commit, or nothing is done.

`transacting` (the events), `settlements` (what is settled, and as what), `bounds` (what one commit
takes).
"""
