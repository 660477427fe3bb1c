"""A module of functions that subtasks run."""

MODULE = """
import os, subprocess, sys, time

def nothing(index):
    return None

def twice(index, more=0):
    return 2 * index + more

def item(value):
    return value

def fail_odd(index):
    if index % 2:
        raise ValueError(f"odd: {index}")

def crash_at(index, where):
    if index == where:
        os._exit(7)
    return index

def hang_at(index, where):
    if index == where:
        time.sleep(1000)
    return index

def environment(index):
    names = ("JOB_ID", "INDEX", "COUNT", "ITEM", "TASK_ID", "ATTEMPT")
    return [os.environ.get("QUORATE_" + name) for name in names]

def of_child(index):
    shown = "import os; print(os.environ.get('QUORATE_INDEX'), os.environ.get('QUORATE_TASK_ID'))"
    return subprocess.run([sys.executable, "-c", shown], capture_output=True).stdout.decode()

def huge(index):
    return 10**5000

def big(index, size):
    return "x" * size

def say(index):
    print("said by", index)
    print("half", end="")

def leave(index):
    os.environ["LEFT"] = str(index)
    os.chdir("/")

def look():
    return [os.environ.get("LEFT"), os.environ.get("QUORATE_INDEX"), os.getcwd()]

def marker(index, folder):
    with open(os.path.join(folder, str(index)), "a") as file:
        file.write("x")
    time.sleep(0.02)

def until(index, path):
    while not os.path.exists(path):
        time.sleep(0.01)

async def later(index):
    return index

def wait_for_others(index, folder):
    import quorate
    open(os.path.join(folder, str(index)), "w").close()
    if index == 1:
        with quorate.waiting():
            while len(os.listdir(folder)) < 100:
                time.sleep(0.005)
    return index

def lie(index, payload):
    # What the worker's socket is, user code can find out.
    from node_agent.protocol.replies import packets_of
    import gc, socket
    if index == 3:
        for one in gc.get_objects():
            if isinstance(one, socket.socket) and one.fileno() == 3:
                one.send(packets_of(int(payload), 0.0, 0.0, ("piece", bytes(50)))[0])
    return index
"""
