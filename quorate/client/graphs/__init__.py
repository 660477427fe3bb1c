"""Graphs: tasks that wait for one another, submitted, watched and ended as one job.

plan       what a caller adds, as a JobSpec; no I/O
outcomes   from tasks of a graph to values and exceptions; no I/O
builder    `Graph`, which is submitted, and its asynchronous twin
handle | ahandle       a graph on the cluster
"""
