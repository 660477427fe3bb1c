"""One function for each event: `(state, limits, event, now, out)`.

A function that raises `QuorateError` has changed nothing: the machine answers with the error.
"""
