"""`python -m scheduler`: one scheduler process. See `scheduler.main`."""

from quorate.runtime.launch import launch

if __name__ == "__main__":
    launch("scheduler.main")
