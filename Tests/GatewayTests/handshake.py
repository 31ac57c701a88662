"""The certificate that a handshake shows."""

import hashlib

from client import Client, tls_context


def served(port, name):
    """The SHA-256 fingerprint, in hex, of the certificate that a server shows for a name."""
    with Client(port, tls_context(), name) as client:
        return hashlib.sha256(client.socket.getpeercert(True)).hexdigest()
