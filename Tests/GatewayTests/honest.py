"""Honest clients that run while others misbehave."""

import threading
import time

from client import Client
from gateway import PATIENCE


class Honest:
    """A client that sends requests while others misbehave, each on a new connection, over TLS where `tls` is a context. Its
    errors are in `faults`."""

    def __init__(self, gateway, tls=None):
        self.gateway, self.tls, self.slowest, self.count, self.faults = gateway, tls, 0, 0, []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(PATIENCE)

    def run(self):
        while not self.stopping.is_set():
            started = time.monotonic()
            try:
                port = self.gateway.https if self.tls else self.gateway.http
                with Client(port, self.tls, "honest.test") as client:
                    assert client.get("honest.test").body == b"ok"
            except Exception as fault:
                self.faults.append(repr(fault))
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.count += 1
            self.stopping.wait(0.01)
