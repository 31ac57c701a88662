"""What the kernel reports about a process."""

import contextlib
import os
import pathlib
import signal

from gateway import eventually


def descriptors(pid):
    """How many open file descriptors the process has."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid):
    """The seconds of CPU that the process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def held(pid):
    """Stops all threads of a process, and continues them at the end. The process then sees all events of that time
    together."""
    os.kill(pid, signal.SIGSTOP)
    try:
        threads = pathlib.Path(f"/proc/{pid}/task")
        eventually("a standstill", lambda: all(_state(thread) == "T" for thread in threads.iterdir()))
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _state(thread):
    """A thread's state as a letter, see proc(5)."""
    return (thread / "stat").read_text().rsplit(")", 1)[1].split()[0]


def memory_bytes(pid):
    """The memory that the process occupies (RSS)."""
    return _status(pid, "VmRSS")


def peak_memory_bytes(pid):
    """The most memory that the process has occupied since `forget_peak`."""
    return _status(pid, "VmHWM")


def forget_peak(pid):
    # proc(5): writing 5 resets the peak to the memory occupied now.
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def open_file_limits(pid):
    """The soft and the hard limit of open file descriptors."""
    line = next(line for line in pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines() if "open files" in line)
    return tuple(int(word) for word in line.split()[3:5])


def _status(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"/proc/{pid}/status has no {name}")
