"""Trailers (RFC 9110 section 6.5) pass in both directions, unless they could be mistaken for fields that matter."""

import socket

import h2.config
import h2.connection
import h2.events
import pytest

from client import Client, tls_context
from gateway import PATIENCE

POST = b"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
TRAILERS = b"X-Checksum: 1\r\nContent-Length: 5\r\nHost: evil.test\r\nAuthorization: x\r\nX-Secret: 2\r\nx_y: 3\r\n\r\n"


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    rules = {"request": {"remove": ["X-Secret"]}, "response": {"remove": ["X-Secret"]}}
    return run_once([{"domain": "app.test", "upstreams": [module_origin.url], "headers": rules}])


def test_trailers_of_a_request_reach_the_upstream(gateway, origin):
    with Client(gateway.http) as client:
        assert client.ask(POST, TRAILERS, method="POST").status == 200
        assert origin.last.raw.endswith(b"\r\n0\r\nX-Checksum: 1\r\n\r\n")
        # The body may be split anywhere, also when it is too large to be collected.
        client.send(POST[:-3].replace(b"3\r\nabc", b"20000\r\n" + bytes(0x20000)))
        for byte in POST[-3:] + TRAILERS:
            client.send(bytes([byte]))
        assert client.response("POST").status == 200
        assert origin.last.raw.endswith(b"\r\n0\r\nX-Checksum: 1\r\n\r\n")
        assert client.get("app.test").status == 200


def test_trailers_of_a_response_reach_a_client_that_accepts_them(gateway, origin):
    origin.answers["/"] = ANSWER + TRAILERS
    ask = "GET / HTTP/1.1\r\nHost: app.test\r\n{}\r\n"
    for fields, end in [("TE: gzip;q=0.5, Trailers\r\nConnection: TE\r\n", b"X-Checksum: 1\r\n"), ("", b"")]:
        with Client(gateway.http) as client:
            client.send(ask.format(fields))
            head = client.until(b"\r\n\r\n")
            assert b"chunked" in head
            assert client.exactly(12 + len(end)) == b"2\r\nok\r\n0\r\n" + end + b"\r\n"
            client.send(ask.format(""))
            assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_trailers_pass_over_http2(gateway, origin):
    origin.answers["/"] = ANSWER + TRAILERS
    with tls_context(alpn=["h2"]).wrap_socket(
            socket.create_connection(("127.0.0.1", gateway.https), PATIENCE), server_hostname="app.test") as tls:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
        connection.initiate_connection()
        connection.send_headers(1, [
            (":method", "POST"), (":scheme", "https"), (":authority", "app.test"), (":path", "/"), ("te", "trailers")])
        connection.send_data(1, b"abc")
        connection.send_headers(1, [("x-checksum", "1"), ("authorization", "x"), ("x-secret", "2")], end_stream=True)
        tls.sendall(connection.data_to_send())
        body, trailers, ended = b"", None, False
        while not ended:
            for event in connection.receive_data(tls.recv(65_536)):
                match event:
                    case h2.events.DataReceived(): body += event.data
                    case h2.events.TrailersReceived(): trailers = event.headers
                    case h2.events.StreamEnded(): ended = True
    assert body == b"ok" and trailers == [(b"x-checksum", b"1")]
    assert origin.last.raw.endswith(b"\r\n3\r\nabc\r\n0\r\nx-checksum: 1\r\n\r\n")
