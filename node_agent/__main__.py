"""`python -m node_agent`: one node agent. See `node_agent.main`."""

from quorate.runtime.process.launch import launch

if __name__ == "__main__":
    launch("node_agent.main")
