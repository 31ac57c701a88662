"""Servers that control which of their bytes are sent together, with or without TLS, what they may answer, and a certificate
for them."""

import datetime
import ipaddress
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import PATIENCE, stop_listening
from tls_records import Sealer, log_secrets


def make_certificate(folder, address="127.0.0.1"):
    """A self-signed certificate and its key, as PEM files in `folder`, which exists."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "upstream")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256()))
    (folder / "up.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "up.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return folder / "up.crt", folder / "up.key"


class Server:
    """Runs `serve`, a function of a `Peer`, for each connection, then closes it. `context`: TLS settings, if the server
    uses TLS; `greeting`: data that the server says first; `delays_small_data`: whether Nagle's algorithm is on."""

    def __init__(self, serve, context=None):
        self.context = context
        self.serve = serve
        self.greeting, self.log = b"", None
        self.delays_small_data = False
        self.connections = 0
        self.faults = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        stop_listening(self.listener)

    def _accept(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted):
        with accepted:
            accepted.settimeout(PATIENCE)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, not self.delays_small_data)
            try:
                if self.context:
                    peer = TLSPeer(accepted, self.context, self.greeting, self.log)
                else:
                    peer = Peer(accepted).say(self.greeting).push()
                self.serve(peer)
            except OSError as fault:
                self.faults.append(fault)


class TLSServer(Server):
    """A server that speaks TLS."""

    def __init__(self, certificate, key, serve, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if version:
            context.minimum_version = context.maximum_version = version
        super().__init__(serve, context)

    def log_secrets(self):
        """Lets tests make any record on the server's connections, as `TLSPeer.seal` does."""
        self.log = log_secrets(self.context)
        self.context.num_tickets = 0


class Peer:
    """A server's end of a connection. Data that were passed to `say` are sent by `push`."""

    def __init__(self, connection):
        self.socket = connection
        self.waiting = bytearray()

    def read(self):
        """Reads once; empty at the end of the connection."""
        return self.socket.recv(65536)

    def request(self):
        """Reads a request's head."""
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.read()
            if not piece:
                raise ConnectionError("the end")
            head += piece
        return head

    def say(self, data):
        self.waiting += data
        return self

    def say_goodbye(self):
        """Adds a close_notify, where there is TLS."""
        return self

    def said(self):
        """Takes the waiting data, in the form in which they are sent."""
        taken, self.waiting = bytes(self.waiting), bytearray()
        return taken

    def push(self, extra=b"", cut=0):
        """Sends all waiting data at once, followed by bytes outside TLS, or without some bytes at the end."""
        data = self.said() + extra
        self.socket.sendall(data[:len(data) - cut])
        return self

    def finish(self):
        """Closes the sending side of the connection, and waits until the other end closes."""
        self.socket.shutdown(socket.SHUT_WR)
        while self.socket.recv(65536):
            pass

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


class TLSPeer(Peer):
    """A server's end of a connection whose TLS handshake is done. `greeting`: data sent with the handshake's last message;
    `log`: the file of the context's secrets."""

    def __init__(self, connection, context, greeting=b"", log=None):
        self.log = log
        super().__init__(connection)
        self.input, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.input, self.output, server_side=True)
        self.hellos = [b"", b""]
        self._until_done(self.tls.do_handshake)
        self.say(greeting).push()

    def _until_done(self, call):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self.push()
                piece = self.socket.recv(65536)
                if not piece:
                    raise ConnectionError("the end")
                self.hellos[0] = self.hellos[0] or piece
                self.input.write(piece)

    def read(self):
        return self._until_done(lambda: self.tls.read(65536))

    def say(self, data):
        if data:
            self.tls.write(data)
        return self

    def say_goodbye(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        return self

    def said(self):
        taken = self.output.read()
        self.hellos[1] = self.hellos[1] or taken
        return taken

    def seal(self):
        """The sealer that makes all further records. The context must log its secrets (`log_secrets`)."""
        return Sealer(self.tls, self.log, self.hellos, is_server=True)


# An answer that a server sends at the wrong time.
EARLY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly"


def honest(peer):
    """Answers each request with its target, up to `/last`."""
    target = b""
    while target != b"/last":
        target = peer.request().split()[1]
        end = b"Connection: close\r\n" if target == b"/last" else b""
        peer.say(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (end, len(target)) + target).push()


def until_end(peer):
    """Reads until the peer ends the connection."""
    while peer.socket.recv(65536):
        pass


def answers_in_turn(client):
    """Whether an honest server's answers reach a client in the order of its requests."""
    return all(client.get(path=path).body == path.encode() for path in ("/0", "/1", "/last"))
