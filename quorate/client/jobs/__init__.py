"""Jobs: arrays of many equal subtasks that are submitted, watched and ended as one.

specs      what a caller gives, as a JobSpec and encoded items; no I/O
parts      items in requests of bounded size; no I/O
progress   how far a job is; no I/O
values     from a page of results to values and exceptions; no I/O
create     creates an array, and appends what one request does not hold
handle | ahandle       a job, as its submitter sees it
methods | amethods     what `Client` and `AsyncClient` have of it
"""
