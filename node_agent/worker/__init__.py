"""The worker process: imports once, then calls one Python function after another.

Started by the spawner as `python -m node_agent.worker`, one to a lane. It receives one attempt at
a time from its socket, so that the agent can take back those it has not received, and answers each
before it takes the next. It ends when its socket closes, when the spawner dies, or by itself,
between two attempts, when it has grown too old or too big.
"""
