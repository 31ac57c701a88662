"""What the system says of a process."""

import contextlib
import os
import pathlib
import signal

from gateway import eventually


def descriptors(pid):
    """How many descriptors it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid):
    """The processor time that it has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def held(pid):
    """Stops a process, all of its threads, and has it go on in the end: what comes meanwhile it sees together."""
    os.kill(pid, signal.SIGSTOP)
    try:
        threads = pathlib.Path(f"/proc/{pid}/task")
        eventually("a standstill", lambda: all(_state(thread) == "T" for thread in threads.iterdir()))
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _state(thread):
    """How a thread fares, as a letter of proc(5)."""
    return (thread / "stat").read_text().rsplit(")", 1)[1].split()[0]


def memory_bytes(pid):
    """The memory that it occupies (RSS)."""
    return _status(pid, "VmRSS")


def peak_memory_bytes(pid):
    """The most that it has occupied since `forget_peak`."""
    return _status(pid, "VmHWM")


def forget_peak(pid):
    # proc(5): 5 resets the peak to what is occupied now.
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def open_file_limits(pid):
    """The soft and the hard limit of open descriptors."""
    line = next(line for line in pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines() if "open files" in line)
    return tuple(int(word) for word in line.split()[3:5])


def _status(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"/proc/{pid}/status has no {name}")
