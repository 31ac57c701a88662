"""A TLS server that decides itself which of its bytes leave together, and a certificate for it."""

import datetime
import ipaddress
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import PATIENCE


def make_certificate(folder, address="127.0.0.1"):
    """A certificate that vouches for itself, with its key, as PEM files. `folder` is there."""
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


class TLSServer:
    """Serves each connection by `serve`, a function of a `TLSPeer`; afterwards the connection is closed."""

    def __init__(self, certificate, key, serve, version=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        if version:
            self.context.minimum_version = self.context.maximum_version = version
        self.serve = serve
        self.connections = 0
        self.faults = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

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
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.serve(TLSPeer(accepted, self.context))
            except OSError as fault:
                self.faults.append(fault)


class TLSPeer:
    """A server's end of a connection whose handshake is done. What it says waits until `push`."""

    def __init__(self, connection, context):
        self.socket = connection
        self.input, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.input, self.output, server_side=True)
        self._until_done(self.tls.do_handshake)
        self.push()

    def _until_done(self, call):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self.push()
                piece = self.socket.recv(65536)
                if not piece:
                    raise ConnectionError("the end")
                self.input.write(piece)

    def request(self):
        """Reads a request's head."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._until_done(lambda: self.tls.read(65536))
        return head

    def say(self, data):
        self.tls.write(data)
        return self

    def say_goodbye(self):
        """A close_notify."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        return self

    def push(self, extra=b"", cut=0):
        """Sends all that was said in one piece, with bytes behind it that TLS knows nothing of, or less some at the end."""
        data = self.output.read() + extra
        self.socket.sendall(data[:len(data) - cut])
        return self

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()
