"""A place before a provider where its clients wait until a test lets them through, and a clock of the machine's delays."""

import contextlib
import socket
import threading
import time

from gateway import PATIENCE, free_port


class Gate:
    """A TCP port that passes connections on to another port, or holds them, or refuses them."""

    def __init__(self, port=None):
        self.target, self.port = port, free_port()
        self._held, self._let = threading.Semaphore(0), threading.Event()
        self._let.set()
        self._sockets, self._listener = [], None
        self._listen()

    def _listen(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._sockets.append(client)
                self._held.release()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        self._let.wait()
        with contextlib.suppress(OSError), client:
            if self.target is None:
                return
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                self._sockets.append(server)
                back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
                back.start()
                self._copy(client, server)
                back.join()

    @staticmethod
    def _copy(source, sink):
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)

    # MARK: What a test does

    def hold(self):
        """From now on, connections wait. Those that exist are closed."""
        self._let.clear()
        while self._sockets:
            with contextlib.suppress(OSError):
                self._sockets.pop().shutdown(socket.SHUT_RDWR)
        while self._held.acquire(blocking=False):
            pass

    def await_client(self):
        assert self._held.acquire(timeout=PATIENCE), "nobody has called"

    def let_through(self, closing=False):
        """Lets the waiting connections through, or closes them."""
        if closing:
            self.target = None
        self._let.set()

    def refuse(self):
        """From now on, connections are refused."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hold()

    def stop(self):
        with contextlib.suppress(OSError):
            self.refuse()
        self._let.set()


class Delays:
    """How late this machine runs what is due, in seconds: a thread measures it as long as the block runs."""

    def __enter__(self):
        self.worst, self._over = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)
        self._thread.start()
        return self

    def _measure(self):
        pause = 0.05
        while not self._over.is_set():
            due = time.monotonic() + pause
            time.sleep(pause)
            self.worst = max(self.worst, time.monotonic() - due)

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
