"""TLS handshakes that wait behind others: waiting in the worker's queue does not use up a client's time for the
handshake."""

import heapq
import selectors
import socket
import ssl
import time

from cryptography.hazmat.primitives.asymmetric import rsa

from authority import Holder, pem
from client import tls_context
from gateway import PATIENCE, Gateway

COUNT = 600
CONTEXT = tls_context(versions=ssl.TLSVersion.TLSv1_2)
# How long each client takes to answer the gateway: much less than the time for a handshake.
REACTION_SECONDS = 0.3


class SlowClient:
    """A client that answers the gateway's part of a handshake after a while."""

    def __init__(self):
        self.input, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = CONTEXT.wrap_bio(self.input, self.output, server_hostname="app.test")
        self.is_done = self.is_ended = False
        self.step()

    def connect(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.send()

    def step(self):
        """Continues the handshake as far as the received bytes allow."""
        try:
            self.tls.do_handshake()
            self.is_done = True
        except ssl.SSLWantReadError:
            pass

    def send(self):
        if data := self.output.read():
            self.socket.sendall(data)

    def receive(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        self.input.write(data)
        self.is_ended = not data


def carry_out(clients):
    """Continues all handshakes until each is complete or the gateway has ended it."""
    late = []
    with selectors.DefaultSelector() as selector:
        for index, client in enumerate(clients):
            selector.register(client.socket, selectors.EVENT_READ, index)
        while selector.get_map():
            now = time.monotonic()
            for key, _ in selector.select(max(0, late[0][0] - now) if late else PATIENCE):
                clients[key.data].receive()
                if clients[key.data].is_ended:
                    selector.unregister(key.fileobj)
                else:
                    heapq.heappush(late, (time.monotonic() + REACTION_SECONDS, key.data))
            while late and late[0][0] <= time.monotonic():
                client = clients[heapq.heappop(late)[1]]
                if not client.is_ended and not client.is_done:
                    client.step()
                    client.send()
                    if client.is_done:
                        selector.unregister(client.socket)


def test_a_handshake_has_its_full_time_even_after_waiting_for_its_turn(tmp_path):
    gateway = Gateway(
        tmp_path / "gateway",
        [{"domain": "app.test", "ssl_mode": "custom", "certificate": "own", "respond": {"body": "own"}}],
        certificates={"own": {"source": "custom", "cert": {"file": "own.pem"}, "key": {"file": "own.key"}}},
        gateway={"workers": 1, "limits": {"handshake_timeout": "2s", "connections_per_client": 0}})
    # With such a key all signatures together take the gateway longer than the time for a handshake.
    holder = Holder("app.test", names=["app.test"], key=rsa.generate_private_key(65537, 4096))
    (gateway.folder / "own.pem").write_bytes(pem(holder.certificate))
    (gateway.folder / "own.key").write_bytes(holder.key_pem)
    gateway.apply()
    try:
        gateway.start()
        clients = [SlowClient() for _ in range(COUNT)]
        for client in clients:
            client.connect(gateway.https)
        carry_out(clients)
        assert [client.is_done for client in clients] == [True] * COUNT
        assert gateway.metric('aegis_tls_handshakes_total{result="timeout",version=""}') == 0
        for client in clients:
            client.socket.close()
    finally:
        gateway.stop()
