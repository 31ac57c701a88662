"""Very many names at once, through a gateway that serves other hosts meanwhile: 60 names, 500 with AEGIS_LONG=1."""

import contextlib
import os
import pty
import re
import statistics
import threading
import time

from client import Client, tls_context
from hosts import host, nothing_is_left, rows, shown
from process import memory_bytes

COUNT = 500 if os.environ.get("AEGIS_LONG") else 60
AT_ONCE = 8
MIB = 1 << 20


class Terminal:
    """A pseudo-terminal for a program, and all that the program writes to it."""

    def __init__(self):
        self.text = b""
        self._ours, self.theirs = pty.openpty()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        # Reading fails with an error at the end, when the other side is closed.
        with contextlib.suppress(OSError):
            while piece := os.read(self._ours, 65536):
                self.text += piece

    def finish(self):
        os.close(self.theirs)
        self._reader.join()
        os.close(self._ours)
        return self.text.decode()


def at_once(calls):
    """The greatest number of orders between placement and certificate at any time."""
    running, most = 0, 0
    for _, path in calls:
        running += path.startswith("/order-plz")
        most = max(most, running)
        running -= path.startswith("/certZ/")
    return most


def test_many_certificates_are_obtained_at_once(stand, figures, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    names = [f"host{number}.test" for number in range(COUNT)]
    gateway = stand.gateway([{"domain": "plain.test", "respond": {"body": "plain"}}, host("first.test")])
    gateway.apply()
    gateway.start()
    try:
        gateway.config["hosts"] += [host(name) for name in names]
        before = len(stand.ca.issued)
        stand.proxy.arm(None, None)
        terminal = Terminal()
        begun = time.monotonic()
        apply = gateway.launch_apply(stdout=terminal.theirs, stderr=terminal.theirs)
        latencies, memory = [], []
        context = tls_context()
        while apply.poll() is None:
            asked = time.monotonic()
            with Client(gateway.https, context, "plain.test") as client:
                assert client.get("plain.test").body == b"plain"
            latencies.append(time.monotonic() - asked)
            with contextlib.suppress(OSError, AssertionError):
                issued = len(stand.ca.issued) - before
                memory.append((issued, memory_bytes(apply.pid), memory_bytes(gateway.process.pid)))
        seconds = time.monotonic() - begun
        said = terminal.finish()
        assert apply.returncode == 0, said

        assert len(stand.ca.issued) == before + COUNT
        assert rows(gateway, "SELECT count(*) FROM certificates") == [(COUNT + 1,)]
        assert nothing_is_left(gateway)
        for name in names[:: COUNT // 5]:
            assert shown(gateway, stand.ca, name) == name
        # Eight orders at a time, and no more.
        most = at_once(stand.proxy.calls)
        assert most == AT_ONCE
        # The terminal has a line for each name, and one below them with the progress.
        for name in names:
            assert f"certificate {name}: issued" in said
        assert re.search(rf"\(\d+/{COUNT * 2}\) certificate host\d+\.test: issue …", said), said[-2000:]
        # Issued certificates don't stay in memory: at the end the programs use as much as after a quarter of the names.
        grown = [max(row[column] for row in memory) - max(row[column] for row in memory if row[0] <= COUNT / 4)
                 for column in (1, 2)]
        figures.append(
            f"{COUNT} certificates in {seconds:.1f} s, {most} orders at once; apply {memory[-1][1] / MIB:.0f} MiB, "
            f"grown by {grown[0] / MIB:.1f}; gateway {memory[-1][2] / MIB:.0f} MiB, grown by {grown[1] / MIB:.1f}; "
            f"another host meanwhile: {statistics.median(latencies) * 1000:.1f} ms, "
            f"at most {max(latencies) * 1000:.0f} ms ({len(latencies)} requests)")
        # A sanitizer keeps freed memory.
        assert max(grown) < 16 * MIB or "AEGIS_SANITIZER" in os.environ
    finally:
        gateway.stop()
