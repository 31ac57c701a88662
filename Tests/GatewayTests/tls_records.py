"""A TLS end that shows its records: for what Python's own module does not let anybody send."""

import ctypes
import ctypes.util
import socket

from gateway import PATIENCE

_ssl = ctypes.CDLL("libssl.so.3")
_crypto = ctypes.CDLL("libcrypto.so.3")
for _library, _names in (
    (_ssl, ["TLS_client_method", "SSL_CTX_new", "SSL_new"]), (_crypto, ["BIO_s_mem", "BIO_new"]),
):
    for _name in _names:
        getattr(_library, _name).restype = ctypes.c_void_p
for _name, _arguments in {
    "SSL_CTX_new": [ctypes.c_void_p], "SSL_new": [ctypes.c_void_p], "SSL_set_bio": [ctypes.c_void_p] * 3,
    "SSL_set_connect_state": [ctypes.c_void_p], "SSL_do_handshake": [ctypes.c_void_p],
    "SSL_write": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int],
    "SSL_read": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int], "SSL_key_update": [ctypes.c_void_p, ctypes.c_int],
    "SSL_shutdown": [ctypes.c_void_p], "SSL_free": [ctypes.c_void_p], "SSL_CTX_free": [ctypes.c_void_p],
    "SSL_ctrl": [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p],
}.items():
    getattr(_ssl, _name).argtypes = _arguments
_crypto.BIO_new.argtypes = [ctypes.c_void_p]
_crypto.BIO_read.argtypes = _crypto.BIO_write.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]

# openssl/ssl.h and tls1.h.
_SET_MAX_VERSION, _SET_SERVER_NAME = 124, 55
TLS_1_2 = 0x0303


class RawTLS:
    """A client's connection. What its methods return is to be sent by `socket`, in whatever pieces."""

    def __init__(self, port, name="app.test", version=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.context = _ssl.SSL_CTX_new(_ssl.TLS_client_method())
        self.ssl = _ssl.SSL_new(self.context)
        if version:
            _ssl.SSL_ctrl(self.ssl, _SET_MAX_VERSION, version, None)
        _ssl.SSL_ctrl(self.ssl, _SET_SERVER_NAME, 0, name.encode())
        self.input, self.output = (_crypto.BIO_new(_crypto.BIO_s_mem()) for _ in range(2))
        _ssl.SSL_set_bio(self.ssl, self.input, self.output)
        _ssl.SSL_set_connect_state(self.ssl)

    def __enter__(self):
        while _ssl.SSL_do_handshake(self.ssl) != 1:
            self.socket.sendall(self.records())
            self.receive()
        self.socket.sendall(self.records())
        return self

    def __exit__(self, *_):
        self.socket.close()
        _ssl.SSL_free(self.ssl)
        _ssl.SSL_CTX_free(self.context)

    def records(self):
        """What is to be sent."""
        taken = bytearray()
        piece = ctypes.create_string_buffer(65536)
        while (count := _crypto.BIO_read(self.output, piece, len(piece))) > 0:
            taken += piece.raw[:count]
        return bytes(taken)

    def data(self, data):
        """A record of data."""
        assert _ssl.SSL_write(self.ssl, data, len(data)) == len(data)
        return self.records()

    def key_update(self):
        """A record that changes this end's keys and asks the other end to do so too (RFC 8446 section 4.6.3)."""
        assert _ssl.SSL_key_update(self.ssl, 1) == 1 and _ssl.SSL_do_handshake(self.ssl) == 1
        return self.records()

    def receive(self):
        """Takes what has come; false at the connection's end."""
        piece = self.socket.recv(65536)
        if piece:
            _crypto.BIO_write(self.input, piece, len(piece))
        return bool(piece)

    def read(self):
        """Data that has come, up to 64 KiB; empty when there is none."""
        buffer = ctypes.create_string_buffer(65536)
        count = _ssl.SSL_read(self.ssl, buffer, len(buffer))
        return buffer.raw[:count] if count > 0 else b""
