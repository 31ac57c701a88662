"""WebSockets over HTTP/2, which begin by an extended CONNECT (RFC 8441)."""

import base64
import hashlib
import socket

import h2.config
import h2.connection
import h2.events
import pytest

from client import tls_context
from gateway import PATIENCE, eventually

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Tunnel:
    """A stream that has asked for a WebSocket."""

    def __init__(self, gateway, host="app.test", protocol="websocket"):
        self.socket = tls_context(alpn=["h2"]).wrap_socket(
            socket.create_connection(("127.0.0.1", gateway.https), PATIENCE), server_hostname=host)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
        self.h2.initiate_connection()
        self.h2.send_headers(1, [
            (":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"), (":authority", host), (":path", "/socket"),
            ("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat")])
        self.flush()
        self.fields, self.data, self.reset, self.ended = None, b"", None, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def send(self, data):
        """Sends bytes as the windows allow."""
        while data:
            size = min(len(data), self.h2.local_flow_control_window(1), 16_384)
            if size:
                self.h2.send_data(1, data[:size])
                data = data[size:]
                self.flush()
            else:
                self.more()

    def more(self):
        received = self.socket.recv(65_536)
        if not received:
            self.ended = True
            return
        for event in self.h2.receive_data(received):
            match event:
                case h2.events.ResponseReceived():
                    self.fields = dict((name.decode(), value.decode()) for name, value in event.headers)
                case h2.events.DataReceived():
                    self.data += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, 1)
                case h2.events.StreamReset():
                    self.reset = event.error_code
                case h2.events.StreamEnded():
                    self.ended = True
        self.flush()

    def until(self, condition):
        while not condition():
            self.more()

    def answer(self):
        self.until(lambda: self.fields is not None or self.reset is not None)
        return self.fields


def agree(connection, request, accept=None):
    key = request["Sec-WebSocket-Key"].encode()
    accept = accept or base64.b64encode(hashlib.sha1(key + GUID).digest())
    connection.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: chat\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")


def echo(connection, request):
    agree(connection, request)
    while connection.buffer or connection.more():
        data = bytes(connection.buffer)
        connection.buffer.clear()
        connection.send(data)
    return False


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [{"domain": "app.test", "upstreams": [module_origin.url]}], gateway={"access_log": {"to": "access.log"}})


def test_bytes_pass_both_ways(gateway, origin):
    origin.answers["/socket"] = echo
    with Tunnel(gateway) as tunnel:
        fields = tunnel.answer()
        assert fields[":status"] == "200" and fields["sec-websocket-protocol"] == "chat"
        assert not {"sec-websocket-accept", "upgrade", "connection"} & set(fields)
        request = origin.last
        assert request.method == "GET" and request["Upgrade"] == "websocket" and request["Connection"].lower() == "upgrade"
        assert request["Sec-WebSocket-Version"] == "13" and len(base64.b64decode(request["Sec-WebSocket-Key"])) == 16
        for data in (b"hello", bytes(range(256)) * 1000, b"\r\n\r\n"):
            tunnel.data = b""
            tunnel.send(data)
            tunnel.until(lambda: len(tunnel.data) >= len(data))
            assert tunnel.data == data
    eventually("the upstream's end", lambda: not origin.connections[request.connection].more())


def test_the_client_may_send_before_the_answer(gateway, origin):
    origin.answers["/socket"] = echo
    with Tunnel(gateway) as tunnel:
        tunnel.send(b"early")
        tunnel.until(lambda: tunnel.data == b"early")


def test_the_end_of_the_upstream_ends_the_stream_alone(gateway, origin):
    def leave(connection, request):
        agree(connection, request)
        connection.send(b"bye")
        return False

    origin.answers["/socket"] = leave
    with Tunnel(gateway) as tunnel:
        tunnel.until(lambda: tunnel.ended)
        assert tunnel.data == b"bye" and not tunnel.reset
        tunnel.h2.ping(b"12345678")
        tunnel.flush()
        assert tunnel.socket.recv(17)


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
], ids=["200", "another protocol", "no key", "another key"])
def test_an_upstream_that_opens_no_websocket_is_no_tunnel(gateway, origin, answer):
    origin.answers["/socket"] = answer
    with Tunnel(gateway) as tunnel:
        assert tunnel.answer()[":status"] == "502"


def test_a_refusal_passes(gateway, origin):
    origin.answers["/socket"] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    with Tunnel(gateway) as tunnel:
        assert tunnel.answer()[":status"] == "403"
        tunnel.until(lambda: tunnel.ended)
        assert tunnel.data == b"no"


def test_a_protocol_that_the_host_does_not_pass_is_no_tunnel(gateway, origin):
    with Tunnel(gateway, protocol="other") as tunnel:
        assert tunnel.answer()[":status"] == "502"
