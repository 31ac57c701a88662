"""Answers whose bodies are truncated or malformed: no client takes one for complete."""

import threading

import pytest

from client import BrokenTransfer, Client
from origin import OK

MALFORMED = [b"zz\r\n", b"5\r\nhelloX", b"5\r\nhello\r\n-1\r\n", b"ffffffffffffffff0\r\n", b"0\r\n A\r\n\r\n"]


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once([{"domain": "app.test", "upstreams": [module_origin.url]}], gateway={"workers": 1})


def test_a_truncated_answer_without_a_length_is_a_reset(gateway, origin):
    def break_off(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        return False

    origin.answers["/"] = break_off
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.0\r\nHost: app.test\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.to_end()


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
], ids=["short", "no last chunk", "no end of trailers", "no chunk"])
def test_a_truncated_answer_is_never_passed_on_as_complete(gateway, origin, answer):
    def break_off(connection, request):
        connection.send(answer)
        return False

    origin.answers["/"] = break_off
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        with pytest.raises((BrokenTransfer, ConnectionError)):
            client.response()
    gateway.await_log("no answer from", origin.url, "answer")


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_body_received_with_its_head_is_502(gateway, origin, body):
    origin.answers["/"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    with Client(gateway.http) as client:
        response = client.get()
        assert response.status == 502 and b"502" in response.body
        origin.answers["/"] = OK
        if response["Connection"] != "close":
            assert client.get().body == b"ok"
    gateway.await_log("no answer from", origin.url, "malformed")


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_body_received_after_its_head_breaks_the_connection(gateway, origin, body):
    arrived = threading.Event()

    def late(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        arrived.wait(10)
        connection.send(body)

    origin.answers["/"] = late
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.head().status == 200
        arrived.set()
        with pytest.raises((BrokenTransfer, ConnectionError)):
            client.chunks()
