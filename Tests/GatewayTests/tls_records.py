"""TLS records of any type and content, sealed with a connection's own keys, which no library lets a program send.

The keys are derived from the secrets that OpenSSL logs (SSLKEYLOGFILE).
"""

import hashlib
import hmac
import socket
import ssl
import tempfile

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from gateway import PATIENCE

# Record types of RFC 8446 section 5.1.
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
# The only cipher suite of TLS 1.2 whose keys can be derived here; those of TLS 1.3 are recognized by name.
SUITE_1_2 = "ECDHE-ECDSA-AES128-GCM-SHA256"
VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
TLS_1_2 = ssl.TLSVersion.TLSv1_2


def log_secrets(context):
    """Makes a context log its connections' secrets, and use only the suites whose keys can be derived here."""
    log = tempfile.NamedTemporaryFile("r", prefix="secrets")
    context.keylog_filename = log.name
    context.set_ciphers(SUITE_1_2)
    return log


class Sealer:
    """Makes the records of one end of a connection, which then must send no others. `hellos`: the client's and the server's
    first bytes."""

    def __init__(self, tls, log, hellos, is_server):
        self.is_tls13 = tls.version() == "TLSv1.3"
        # A hello's random value follows the record's head, four bytes of the message's head, and a version.
        client_random, server_random = (hello[11:43] for hello in hellos)
        with open(log.name) as lines:
            entries = [line.split() for line in lines if not line.startswith("#")]
        secrets = {label: bytes.fromhex(secret) for label, random, secret in entries if random == client_random.hex()}
        if self.is_tls13:
            self.hash = hashes.SHA384 if tls.cipher()[0].endswith("SHA384") else hashes.SHA256
            self.key_size = 32 if "AES_256" in tls.cipher()[0] else 16
            assert "AES" in tls.cipher()[0]
            self._take(secrets[f"{'SERVER' if is_server else 'CLIENT'}_TRAFFIC_SECRET_0"])
        else:
            block = expand_1_2(secrets["CLIENT_RANDOM"], b"key expansion" + server_random + client_random, 40)
            self.aead = AESGCM(block[16:32] if is_server else block[:16])
            self.salt = block[36:40] if is_server else block[32:36]
            self.sequence = 1  # the first record after Finished

    def record(self, kind, data, padding=0):
        """A record of a type. `padding`: zeros after the content, in TLS 1.3."""
        number = self.sequence.to_bytes(8)
        self.sequence += 1
        if self.is_tls13:
            head = b"\x17\x03\x03" + (len(data) + 1 + padding + 16).to_bytes(2)
            nonce = bytes(a ^ b for a, b in zip(self.iv, bytes(4) + number))
            return head + self.aead.encrypt(nonce, data + bytes([kind]) + bytes(padding), head)
        head = bytes([kind]) + b"\x03\x03"
        sealed = self.aead.encrypt(self.salt + number, data, number + head + len(data).to_bytes(2))
        return head + (8 + len(sealed)).to_bytes(2) + number + sealed

    def data(self, data):
        return self.record(DATA, data)

    def key_update(self, asks=True):
        """A record after which the sender uses new keys; `asks`: the receiver must change its keys too (RFC 8446 section
        4.6.3)."""
        record = self.record(HANDSHAKE, b"\x18\0\0\1" + bytes([asks]))
        self._take(self._expand(self.secret, b"traffic upd", self.hash.digest_size))
        return record

    def _take(self, secret):
        self.secret, self.sequence = secret, 0
        self.aead = AESGCM(self._expand(secret, b"key", self.key_size))
        self.iv = self._expand(secret, b"iv", 12)

    def _expand(self, secret, label, size):
        """HKDF-Expand-Label (RFC 8446 section 7.1) without a context."""
        label = b"tls13 " + label
        return HKDFExpand(self.hash(), size, size.to_bytes(2) + bytes([len(label)]) + label + b"\0").derive(secret)


def expand_1_2(secret, seed, size):
    """The pseudorandom function of TLS 1.2 (RFC 5246 section 5) with SHA-256."""
    output, step = b"", seed
    while len(output) < size:
        step = hmac.digest(secret, step, hashlib.sha256)
        output += hmac.digest(secret, step + seed, hashlib.sha256)
    return output[:size]


class RawTLS:
    """A client's connection. The test sends the records that `sealer` makes through `socket`, in any pieces."""

    def __init__(self, port, name="app.test", version=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if version:
            context.minimum_version = context.maximum_version = version
        self.log = log_secrets(context)
        self.input, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.input, self.output, server_hostname=name)
        self.hellos = [b"", b""]

    def __enter__(self):
        while not self._has_shaken_hands():
            self.receive()
        self.sealer = Sealer(self.tls, self.log, self.hellos, is_server=False)
        self.data, self.key_update, self.record = self.sealer.data, self.sealer.key_update, self.sealer.record
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.log.close()

    def _has_shaken_hands(self):
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False
        finally:
            said = self.output.read()
            self.hellos[0] = self.hellos[0] or said
            self.socket.sendall(said)

    @property
    def client_hello(self):
        """The client hello of the handshake."""
        return self.hellos[0][5:5 + int.from_bytes(self.hellos[0][3:5])]

    def receive(self):
        """Receives bytes; false at the connection's end."""
        piece = self.socket.recv(65536)
        self.hellos[1] = self.hellos[1] or piece
        self.input.write(piece)
        return bool(piece)

    def read(self):
        """Received data, up to 64 KiB; empty when there is none."""
        try:
            return self.tls.read(65536)
        except ssl.SSLWantReadError:
            return b""
