"""Messages between programs: a work queue, a log router, request and reply."""
