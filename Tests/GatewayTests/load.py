"""Steady traffic of which nothing may be lost: each answer is compared with what its request asked for."""

import hashlib
import itertools
import os
import ssl
import threading
import time

from client import Client, tls_context

# How often a test replaces a thing that traffic depends on, such as a certificate. A hundred times take minutes, so a
# usual run makes fewer.
ROTATIONS = 100 if os.environ.get("AEGIS_LONG") else 20

ASK_SOCKET = (
    "GET /socket HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
AGREE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def content(identity):
    """The body that belongs to an identity: 64 bytes to 64 KiB."""
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return (digest * (1 + int(digest[:3], 16) // 4)).encode()


def answer(connection, request):
    """The origin's answer: the content of an identity, the hash of the received body, or an echo."""
    if request.target == "/socket":
        connection.send(AGREE)
        while connection.buffer or connection.more():
            data = bytes(connection.buffer)
            connection.buffer.clear()
            connection.send(data)
        return False
    identity = request.target.split("=")[1]
    body = content(identity) if request.method == "GET" else hashlib.sha256(request.body).hexdigest().encode()
    head = f"HTTP/1.1 200 OK\r\nX-Identity: {identity}\r\n"
    if int(identity) % 3:
        connection.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    else:
        half = len(body) // 2
        connection.send(f"{head}Transfer-Encoding: chunked\r\n\r\n{half:x}\r\n".encode() + body[:half])
        connection.send(b"\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body) - half, body[half:]))


class Load:
    """Clients of a gateway whose host `app.test` leads to an origin that answers with `answer`."""

    def __init__(self, gateway, kept=3, new=2, sockets=4):
        self.gateway = gateway
        self.faults = []
        self.requests = 0
        self.messages = 0
        self._identities = itertools.count(1)
        self._stopping = threading.Event()
        jobs = [(self._keep, n % 2 == 0) for n in range(kept)] + [(self._renew, n % 2 == 0) for n in range(new)]
        jobs += [(self._talk, n % 2 == 0) for n in range(sockets)]
        self._begin(jobs)

    def _begin(self, jobs):
        self._threads = [threading.Thread(target=self._run, args=job, daemon=True) for job in jobs]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)
        if kind is None:
            assert not self.faults, "\n".join(self.faults)
            assert self.requests > 100 and self.messages > 20
            assert not any(thread.is_alive() for thread in self._threads)

    def _run(self, job, argument):
        try:
            job(argument)
        except Exception as fault:  # any error means that something was lost
            self.faults.append(f"{time.strftime('%H:%M:%S')} {job.__name__} {argument}: {fault!r}")

    def _connect(self, is_tls):
        port = self.gateway.https if is_tls else self.gateway.http
        return Client(port, tls_context() if is_tls else None, "app.test")

    def _ask(self, client):
        """Sends one request and checks its answer. Returns whether the connection stays open."""
        identity = str(next(self._identities))
        if int(identity) % 4:
            client.send(f"GET /?id={identity} HTTP/1.1\r\nHost: app.test\r\n\r\n")
            expected = content(identity)
        else:
            body = content(identity)
            client.send(
                f"POST /?id={identity} HTTP/1.1\r\nHost: app.test\r\nContent-Length: {len(body)}\r\n\r\n".encode(), body)
            expected = hashlib.sha256(body).hexdigest().encode()
        response = client.response()
        assert response.status == 200, f"{identity}: {response.status} {response.body[:200]}"
        assert response["X-Identity"] == identity, f"{identity}: the answer to {response['X-Identity']}"
        assert response.body == expected, f"{identity}: another body"
        self.requests += 1
        return response["Connection"] != "close"

    def _keep(self, is_tls):
        """Sends request after request on a connection for as long as the gateway keeps it."""
        while not self._stopping.is_set():
            with self._connect(is_tls) as client:
                while self._ask(client) and not self._stopping.is_set():
                    self._stopping.wait(0.002)

    def _renew(self, is_tls):
        """Uses a new connection for each request."""
        while not self._stopping.is_set():
            with self._connect(is_tls) as client:
                self._ask(client)

    def _talk(self, is_tls):
        """Sends messages on a WebSocket that stays open."""
        with self._connect(is_tls) as client:
            client.send(ASK_SOCKET)
            assert client.response().status == 101
            for number in itertools.count():
                # A masked text frame of six bytes (RFC 6455 section 5.2), which the origin sends back unchanged.
                message = b"\x81\x86\0\0\0\0%06d" % (number % 1_000_000)
                client.send(message)
                back = client.exactly(len(message))
                assert back == message, f"message {number} came back as {back}"
                self.messages += 1
                if self._stopping.wait(0.02):
                    return
