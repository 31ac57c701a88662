"""What tests of floods share: an honest client during the flood, and the gateway's memory."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

from gateway import PATIENCE, eventually
from process import memory_bytes

HONEST = {"domain": "honest.test", "respond": {"status": 200, "body": "ok"}}


class Paced:
    """A client that sends request after request on one connection, and records the milliseconds until each answer."""

    def __init__(self, gateway):
        self.times, self.faults = [], []
        script = pathlib.Path(__file__).parent / "paced.py"
        self.process = subprocess.Popen(
            [sys.executable, script, str(gateway.http), "honest.test"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)

    def __enter__(self):
        self.reader.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.process.kill()
        self.reader.join(PATIENCE)
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    stopping = False

    def read(self):
        for line in self.process.stdout:
            if line.endswith("\n"):
                self.times.append(float(line))
        if not self.stopping:
            self.faults.append(self.process.stderr.read() or "it has ended")

    def await_times(self, count):
        """Waits until the client has received `count` more answers."""
        count += len(self.times)
        eventually("answers of an honest client", lambda: len(self.times) >= count or self.faults)

    def quantile(self, share, start=0, end=None):
        times = sorted(self.times[start:end])
        return times[min(len(times) - 1, int(len(times) * share))]


def put_first(process):
    """Gives a process real-time priority if this user may: other processes then don't affect its times."""
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        # A thread may have ended meanwhile.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(1))


def record(what, rest, flood):
    """Appends the times of one flood to the file that Benchmarks/floods.py has named."""
    if path := os.environ.get("AEGIS_FLOOD_TIMES"):
        with open(path, "a") as file:
            file.write(json.dumps([what, rest, flood]) + "\n")


@contextlib.contextmanager
def watched(gateway, what, figures, bytes_more=4 << 20):
    """Measures the times of an honest client and the gateway's memory during a flood. Fails if the client gets no
    answers or memory grows."""
    with Paced(gateway) as honest:
        for process in gateway.process, honest.process:
            put_first(process)
        honest.await_times(300)
        at_rest = len(honest.times)
        before = memory_bytes(gateway.process.pid)
        yield honest
        in_flood = len(honest.times)
        honest.await_times(20)
        end = in_flood if in_flood >= at_rest + 20 else None
        more = memory_bytes(gateway.process.pid) - before
        record(what, honest.times[:at_rest], honest.times[at_rest:end])
        rest, flood = (
            [honest.quantile(share, *part) for share in (0.5, 0.99)] for part in ((0, at_rest), (at_rest, end)))
        figures.append(
            f"{what}: honest p50 {rest[0]:.2f} → {flood[0]:.2f} ms, p99 {rest[1]:.2f} → {flood[1]:.2f} ms of "
            f"{(end or len(honest.times)) - at_rest}, memory {more / 1024:+.0f} KiB")
    assert honest.faults == []
    assert more < bytes_more or "AEGIS_SANITIZER" in os.environ


def send_without_reading(connection, data, times=1):
    """Sends data again and again as fast as the other end reads it, and reads nothing. Returns whether the other end
    has closed."""
    end = time.monotonic() + PATIENCE
    connection.settimeout(1)
    for _ in range(times):
        try:
            connection.sendall(data)
        except TimeoutError:
            return False  # the other end reads no more
        except OSError:
            return True
        assert time.monotonic() < end
    return False


def is_ended(connection):
    """Waits for the end of a connection, whatever data come before it."""
    connection.settimeout(PATIENCE)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True
