"""StreamTaskLogs and SearchTaskLogs: `calls` says what may be asked for, `relay` asks the node of a
task, and `subtasks` finds the part of a subtask in the log of its chunk.
"""
