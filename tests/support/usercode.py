"""A module of a user, whose functions do well, fail, print, sleep and die."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.agent import Agent, running_agent

MODULE = """
import asyncio, os, signal, subprocess, sys, time

class Trouble(Exception):
    pass

class Nested:
    @staticmethod
    def method(x):
        return x * 2

answer = 42
loaded_by = os.getpid()

def add(*args, **kwargs):
    return sum(args) + sum(kwargs.values())

def pid():
    return os.getpid()

def fail(message):
    inner(message)

def inner(message):
    raise Trouble(message)

class Hostile(Exception):
    def __str__(self):
        sys.exit(3)
    __repr__ = __reduce__ = __str__

def fail_hostile():
    raise Hostile

async def later(x):
    await asyncio.sleep(0.001)
    return x + 1

def say(text):
    print(text)
    print(text.upper(), file=sys.stderr)

def say_in_child(text):
    subprocess.run(["echo", text], check=True)

def say_slowly(text, path):
    print(text)
    while not os.path.exists(path):
        time.sleep(0.01)
    print("end")

def die():
    print("last words")
    os.kill(os.getpid(), signal.SIGKILL)

def segfault():
    import ctypes
    ctypes.string_at(0)

def leave():
    sys.exit(3)

def quiet_exit():
    os._exit(0)

def sleep(seconds, path=""):
    if path:
        with open(path, "w") as file:
            file.write(str(os.getpid()))
    time.sleep(seconds)

def spawn_and_sleep(path):
    child = subprocess.Popen(["sleep", "1000"])
    with open(path, "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    time.sleep(1000)

def size(text):
    return len(text)

def repeat(text, times):
    return text * times

def strange():
    return object()

def close_output():
    sys.stdout.close()
"""


@asynccontextmanager
async def user_agent(folder: Path) -> AsyncIterator[Agent]:
    """A real agent whose tasks can import `usercode`, and two modules that cannot be imported."""
    (folder / "code").mkdir()
    (folder / "code" / "usercode.py").write_text(MODULE)
    (folder / "code" / "broken.py").write_text("import nowhere_to_be_found\n")
    (folder / "code" / "raising.py").write_text("raise ValueError('at import')\n")
    async with running_agent(folder / "node", directory=folder / "code") as agent:
        yield agent
