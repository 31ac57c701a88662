"""A server behind the gateway that records the exact bytes it receives, and sends the answers that a test sets."""

import socket
import threading
from dataclasses import dataclass, field

from gateway import PATIENCE, eventually, stop_listening

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Request:
    """A complete request. `body` is without chunk framing, `raw` has all bytes as received."""

    method: str
    target: str
    fields: list
    body: bytes
    raw: bytes
    connection: int

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def __getitem__(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} comes {len(values)} times"
        return values[0] if values else None


@dataclass
class Connection:
    """A connection to the origin, given to functions that answer."""

    socket: socket.socket
    number: int
    buffer: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)

    def send(self, data):
        self.socket.sendall(data)

    def close(self):
        """Closes the connection, whatever is still unread."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def more(self):
        try:
            piece = self.socket.recv(65536)
        except OSError:
            piece = b""
        if len(self.received) < 1 << 20:
            self.received += piece
        self.buffer += piece
        return bool(piece)

    def until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                return None
        taken = bytes(self.buffer[:self.buffer.index(mark)])
        del self.buffer[:len(taken) + len(mark)]
        return taken

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.more():
                return None
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def request_head(self):
        head = self.until(b"\r\n\r\n")
        if head is None:
            return None
        lines = head.decode("latin-1").split("\r\n")
        method, target, version = lines[0].split(" ")
        assert version == "HTTP/1.1"
        return Request(
            method, target, [tuple(line.split(": ", 1)) for line in lines[1:]], b"", head + b"\r\n\r\n", self.number)

    def body(self, request):
        """Reads a request's body; false when the connection ends within it."""
        if request["Transfer-Encoding"]:
            assert request["Transfer-Encoding"] == "chunked" and request["Content-Length"] is None
            raw, body = bytearray(request.raw), bytearray()
            while True:
                line = self.until(b"\r\n")
                if line is None:
                    return False
                raw += line + b"\r\n"
                if int(line, 16) == 0:
                    break
                data = self.exactly(int(line, 16) + 2)
                if data is None:
                    return False
                raw += data
                body += data[:-2]
            # Trailers may follow. An empty line ends the body.
            while line:
                line = self.until(b"\r\n")
                if line is None:
                    return False
                raw += line + b"\r\n"
            request.raw, request.body = bytes(raw), bytes(body)
            return True
        request_body = self.exactly(int(request["Content-Length"] or 0))
        if request_body is None:
            return False
        request.body = request_body
        request.raw += request_body
        return True


class Origin:
    """A server with a thread for each connection.

    `answers` maps a path to its answer: bytes, or a function of the connection and the request that returns false to end
    the connection. Other paths get `answer`. Requests whose heads are in `early` are answered before their bodies are read.
    """

    def __init__(self, path=None, tls=None, at=("127.0.0.1", 0)):
        self.answers = {}
        self.early = {}
        self.answer = OK
        self.requests = []
        self.connections = []
        self.tls = tls
        self.faults = []
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.listener.listen(512)
            self.url = f"unix:{path}"
        else:
            self.listener = socket.create_server(at, backlog=512)
            self.port = self.listener.getsockname()[1]
            self.url = f"http{'s' if tls else ''}://{at[0]}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        stop_listening(self.listener)
        for connection in list(self.connections):
            connection.close()

    def forget(self):
        """Forgets received requests and set answers."""
        self.requests.clear()
        self.answers.clear()
        self.early.clear()
        self.faults.clear()
        self.answer = OK

    @property
    def last(self):
        return self.requests[-1]

    def await_requests(self, count):
        eventually(f"{count} requests at the origin", lambda: len(self.requests) >= count)
        return self.requests

    def _accept(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            connection = Connection(accepted, len(self.connections))
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            connection.socket.settimeout(PATIENCE * 3)
            if connection.socket.family == socket.AF_INET:
                connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                connection.socket = self.tls.wrap_socket(connection.socket, server_side=True)
            while self._serve_one(connection):
                pass
        except (OSError, ValueError, AssertionError) as fault:
            self.faults.append(fault)
        finally:
            connection.close()
            connection.socket.close()

    def _serve_one(self, connection):
        request = connection.request_head()
        if request is None:
            return False
        path = request.target.split("?")[0]
        if path in self.early:
            return self.early[path](connection, request)
        if not connection.body(request):
            return False
        self.requests.append(request)
        answer = self.answers.get(path, self.answer)
        if callable(answer):
            return answer(connection, request) is not False
        connection.send(answer)
        return True
