"""`python -m scheduler`: one scheduler process. See `scheduler.main`."""

from quorate.runtime.process.launch import launch

if __name__ == "__main__":
    launch("scheduler.main")
