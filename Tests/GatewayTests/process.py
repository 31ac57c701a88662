"""What the kernel reports about a process."""

import contextlib
import os
import pathlib
import signal
import subprocess

from gateway import PATIENCE, eventually


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
        eventually("a standstill", lambda: all(thread["State"][0] == "T" for thread in _live_threads(pid)))
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def traced(pid, *rules):
    """Runs strace on all threads of a process. The process may end at any time: rules can kill it."""
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", *rules, "-p", str(pid)],
                              stderr=subprocess.DEVNULL)
    try:
        eventually("strace", lambda: all(thread["TracerPid"] != "0" for thread in _live_threads(pid)))
        yield
    finally:
        # The kernel releases the threads of a killed tracer. A tracer that gets SIGTERM waits for the process's first
        # thread, and for ever when that thread was killed meanwhile and others were not waited for.
        tracer.kill()
        tracer.wait(PATIENCE)


def _live_threads(pid):
    """The fields of proc_pid_status(5) of each thread that has not ended."""
    threads = []
    # A thread can end between two looks, and the process as a whole.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                lines = (thread / "status").read_text().splitlines()
                threads.append(dict(line.split(":\t", 1) for line in lines))
    return [thread for thread in threads if thread["State"][0] not in "ZX"]


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
