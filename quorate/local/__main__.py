"""`python -m quorate.local`: the supervisor without a terminal. See `quorate.local.main`."""

from quorate.runtime.process.launch import launch

if __name__ == "__main__":
    launch("quorate.local.main")
