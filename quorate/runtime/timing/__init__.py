"""How long to wait, and how much is allowed. Pure: time and randomness are arguments.

backoff        pauses that grow after each failure
token_bucket   a rate, with a burst after a rest
"""
