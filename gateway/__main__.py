"""`python -m gateway`: one gateway process. See `gateway.main`."""

from quorate.runtime.process.launch import launch

if __name__ == "__main__":
    launch("gateway.main")
