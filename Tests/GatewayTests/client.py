"""A client that sends exactly the bytes it is given, and reads answers strictly."""

import selectors
import socket
import ssl
from dataclasses import dataclass, field

from gateway import PATIENCE


class BrokenTransfer(Exception):
    """The connection ended within an answer."""


@dataclass
class Response:
    status: int
    fields: list
    body: bytes = b""
    interim: list = field(default_factory=list)

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def __getitem__(self, name):
        """The only value of a header field; None when there is none."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} comes {len(values)} times"
        return values[0] if values else None


def tls_context(root=None, versions=None, alpn=None):
    """A client's TLS settings; without a root no certificate is verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if root is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context.load_verify_locations(root)
    if versions:
        context.minimum_version = context.maximum_version = versions
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


class Client:
    """One connection. `tls`: a TLS context; `name`: the server name (SNI); `strict`: an end without close_notify is an
    error."""

    def __init__(self, port, tls=None, name=None, address="127.0.0.1", source=None, strict=False):
        self.socket = socket.create_connection(
            (address, port), timeout=PATIENCE, source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=name, suppress_ragged_eofs=not strict)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, *pieces):
        for piece in pieces:
            self.socket.sendall(piece.encode("latin-1") if isinstance(piece, str) else piece)

    def ask(self, *pieces, method=None):
        """Sends a request and reads its answer."""
        first = pieces[0] if isinstance(pieces[0], str) else pieces[0].decode("latin-1")
        self.send(*pieces)
        return self.response(method or first.split(" ", 1)[0])

    def get(self, host="app.test", path="/", *fields):
        return self.ask("".join([f"GET {path} HTTP/1.1\r\nHost: {host}\r\n", *(f"{f}\r\n" for f in fields), "\r\n"]))

    # Reading.

    def more(self):
        """Reads once from the connection; false at its end."""
        piece = self.socket.recv(65536)
        self.buffer += piece
        return bool(piece)

    def until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                raise BrokenTransfer(f"ended before {mark!r}, after {self.buffer[-200:]!r}")
        taken = bytes(self.buffer[:self.buffer.index(mark)])
        del self.buffer[:len(taken) + len(mark)]
        return taken

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.more():
                raise BrokenTransfer(f"{len(self.buffer)} bytes of {count}")
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def to_end(self):
        """Reads all bytes up to the end of the connection."""
        while self.more():
            pass
        taken, self.buffer = bytes(self.buffer), bytearray()
        return taken

    def head(self):
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        return Response(int(status), [tuple(line.split(": ", 1)) for line in lines[1:]])

    def response(self, method="GET"):
        """Reads an answer with its body, and the interim answers before it."""
        interim = []
        while True:
            response = self.head()
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response)
        response.interim = interim
        coding, length = response["Transfer-Encoding"], response["Content-Length"]
        assert not (coding and length), "both a length and chunks"
        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        if coding:
            assert coding == "chunked"
            response.body = self.chunks()
        elif length is not None:
            response.body = self.exactly(int(length))
        else:
            assert response["Connection"] == "close", "an endless body on a connection that stays"
            response.body = self.to_end()
        return response

    def chunks(self):
        body = bytearray()
        while size := int(self.until(b"\r\n"), 16):
            body += self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        assert self.exactly(2) == b"\r\n", "trailers"
        return bytes(body)

    def is_closed(self):
        """Waits for the end of the connection; false if any byte came before it."""
        return self.to_end() == b""


def post(host="app.test", path="/"):
    """A request with the body `hi`, which is not idempotent."""
    return f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi"


def parse(answer):
    """Parses bytes that are exactly one response."""
    near, far = socket.socketpair()
    reader = Client.__new__(Client)
    reader.socket, reader.buffer = near, bytearray(answer)
    with near:
        far.close()
        response = reader.response()
        assert reader.is_closed(), "bytes behind the answer"
    return response


def exchange_together(port, messages):
    """Sends each message, a list of pieces, on its own connection, piece by piece in turn, so that each piece is read
    separately. Returns what each connection received, and whether it was closed (True) or reset (False)."""
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in messages]
    selector = selectors.DefaultSelector()
    received = [bytearray() for _ in messages]
    for number, connection in enumerate(sockets):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, number)
    ended = {}

    def read(patience):
        ready = selector.select(patience)
        for key, _ in ready:
            try:
                piece = key.fileobj.recv(65536)
            except ConnectionError:
                piece = None
            if piece:
                received[key.data] += piece
            else:
                ended[key.data] = piece is not None
                selector.unregister(key.fileobj)
        return ready

    for turn in range(max(map(len, messages))):
        for number, pieces in enumerate(messages):
            if turn < len(pieces) and number not in ended:
                try:
                    sockets[number].sendall(pieces[turn])
                except ConnectionError:
                    pass
        read(0)
    while len(ended) < len(messages):
        if not read(PATIENCE):
            break
    for connection in sockets:
        connection.close()
    return [(bytes(received[number]), ended.get(number)) for number in range(len(messages))]
