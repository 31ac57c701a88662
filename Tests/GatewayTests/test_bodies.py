"""Requests and answers pass through unchanged, however their bytes are split and however long their bodies are."""

import hashlib
import socket

import pytest

from client import Client, exchange_together, parse
from gateway import eventually
from origin import OK
from segments import unread

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhello world"


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [
            {"domain": "app.test", "upstreams": [module_origin.url]},
            {"domain": "large.test", "upstreams": [module_origin.url], "limits": {"body_bytes": "0"}},
        ],
        gateway={"workers": 1})


@pytest.mark.parametrize("message", [
    b"POST /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello world",
    b"POST /a HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n",
], ids=["length", "chunks"])
def test_a_request_may_be_split_at_any_byte(gateway, origin, message):
    pieces = [[message[:cut], message[cut:]] for cut in range(1, len(message))]
    for answer, ended in exchange_together(gateway.http, pieces):
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\nok") and ended
    assert [request.body for request in origin.requests] == [b"hello world"] * len(pieces)


@pytest.mark.parametrize("answer", [LENGTH, CHUNKS, UNTIL_CLOSE], ids=["length", "chunks", "until close"])
def test_an_answer_may_be_split_at_any_byte(gateway, origin, answer):
    def split_answer(connection, request):
        cut = int(request.target.split("?")[1])
        connection.send(answer[:cut])
        eventually("the gateway reads the first half", lambda: unread(connection.socket) == 0)
        connection.send(answer[cut:])
        return answer is not UNTIL_CLOSE

    origin.answers["/"] = split_answer
    cuts = range(1, len(answer))
    messages = [[f"GET /?{cut} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n".encode()] for cut in cuts]
    for received, ended in exchange_together(gateway.http, messages):
        assert received.startswith(b"HTTP/1.1 200 OK\r\n") and ended
        assert parse(received).body == b"hello world"


def test_an_answer_may_come_byte_by_byte(gateway, origin):
    def dribble(connection, request):
        for byte in CHUNKS:
            connection.send(bytes([byte]))

    origin.answers["/"] = dribble
    with Client(gateway.http) as client:
        for _ in range(3):
            assert client.get().body == b"hello world"


def test_after_answers_without_a_body_the_connection_stays_usable(gateway, origin):
    origin.answers["/head"] = LENGTH[:-11]
    origin.answers["/204"] = b"HTTP/1.1 204 No Content\r\n\r\n"
    origin.answers["/304"] = b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 11\r\n\r\n"
    origin.answers["/empty"] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def one_connection(client):
        head = client.ask("HEAD /head HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert (head.status, head["Content-Length"]) == (200, "11")
        no_content = client.get(path="/204")
        assert (no_content.status, no_content["Content-Length"], no_content["Transfer-Encoding"]) == (204, None, None)
        not_modified = client.get(path="/304")
        assert (not_modified.status, not_modified["ETag"], not_modified["Content-Length"]) == (304, '"x"', "11")
        assert client.get(path="/empty").body == b""
        assert client.get().body == b"ok"
        return len({request.connection for request in origin.requests[-5:]}) == 1

    with Client(gateway.http) as client:
        # After the first HEAD to an upstream, its connection is watched for a while.
        eventually("the same connection for all", lambda: one_connection(client))


def test_head_of_a_chunked_answer_has_no_body(gateway, origin):
    origin.answers["/"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Client(gateway.http) as client:
        assert client.ask("HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n").status == 200
        assert client.ask("HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n").status == 200


def test_interim_answers_come_before_the_final_one(gateway, origin):
    origin.answers["/"] = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" + OK)
    with Client(gateway.http) as client:
        response = client.get()
        assert (response.status, response.body) == (200, b"ok")
        assert [(interim.status, interim["Link"]) for interim in response.interim] == [
            (103, "</a.css>; rel=preload")]
        assert client.get().body == b"ok"
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.0\r\nHost: app.test\r\n\r\n")
        answer = client.to_end()
        assert answer.startswith(b"HTTP/1.1 200 ") and b"103" not in answer, "HTTP/1.0 knows no interim answers"


def test_a_client_that_waits_for_100_gets_it(gateway, origin):
    with Client(gateway.http) as client:
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.head().status == 100
        client.send("hello")
        assert client.response("POST").status == 200
    assert origin.last.body == b"hello" and origin.last["Expect"] is None


def test_http_1_0_clients_get_answers_that_they_understand(gateway, origin):
    origin.answers["/chunks"] = CHUNKS
    with Client(gateway.http) as client:
        client.send("GET /chunks HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n")
        head, body = client.to_end().split(b"\r\n\r\n")
        assert body == b"hello world" and b"Transfer-Encoding" not in head and b"Connection: close" in head
    with Client(gateway.http) as client:
        response = client.ask("GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n")
        assert (response["Connection"], response.body) == ("keep-alive", b"ok")
        assert client.ask("GET / HTTP/1.0\r\nHost: app.test\r\n\r\n")["Connection"] == "close"
        assert client.is_closed()


def test_connections_are_kept_or_closed_as_requested(gateway, origin):
    with Client(gateway.http) as client:
        for _ in range(5):
            assert client.get().status == 200
        assert client.get("app.test", "/", "Connection: close")["Connection"] == "close"
        assert client.is_closed()
    assert len({request.connection for request in origin.requests}) == 1


def test_pipelined_requests_are_answered_in_order(gateway, origin):
    def echo(connection, request):
        body = request.target.encode() + request.body
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    origin.answer = echo
    with Client(gateway.http) as client:
        client.send("".join(
            f"GET /{n} HTTP/1.1\r\nHost: app.test\r\n\r\n"
            f"POST /p{n} HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc" for n in range(100)))
        for n in range(100):
            assert client.response().body == b"/%d" % n
            assert client.response().body == b"/p%dabc" % n


def test_a_client_that_half_closes_still_gets_its_answer(gateway, origin):
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.response().body == b"ok"
        assert client.is_closed()


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_large_bodies_pass_both_ways_unchanged(gateway, origin, framing):
    piece = bytes(range(256)) * 256
    count = 400

    def echo_hash(connection, request):
        digest = hashlib.sha256(request.body).hexdigest().encode()
        connection.send(b"HTTP/1.1 200 OK\r\nX-Hash: " + digest + b"\r\n")
        if framing == "length":
            connection.send(b"Content-Length: %d\r\n\r\n" % len(request.body) + request.body)
        else:
            connection.send(b"Transfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(request.body), 100_000):
                part = request.body[start:start + 100_000]
                connection.send(b"%x\r\n%s\r\n" % (len(part), part))
            connection.send(b"0\r\n\r\n")

    origin.answer = echo_hash
    with Client(gateway.http) as client:
        if framing == "length":
            client.send(f"POST / HTTP/1.1\r\nHost: large.test\r\nContent-Length: {count * len(piece)}\r\n\r\n")
            for _ in range(count):
                client.send(piece)
        else:
            client.send("POST / HTTP/1.1\r\nHost: large.test\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(count):
                client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            client.send("0\r\n\r\n")
        response = client.response("POST")
        expected = hashlib.sha256(piece * count).hexdigest()
        assert response["X-Hash"] == expected
        assert hashlib.sha256(response.body).hexdigest() == expected


def test_an_answer_before_the_end_of_the_request_reaches_the_client(gateway, origin):
    def early(connection, request):
        connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        while connection.more():
            connection.buffer.clear()
        return False

    origin.early["/early"] = early
    with Client(gateway.http) as client:
        client.send("POST /early HTTP/1.1\r\nHost: large.test\r\nContent-Length: 100000000\r\n\r\n", bytes(70_000))
        response = client.response("POST")
        assert (response.status, response.body, response["Connection"]) == (403, b"no", "close")


def test_an_early_answer_with_a_close_reaches_the_client(gateway, origin):
    def early(connection, request):
        connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        return False

    origin.early["/early"] = early
    for _ in range(20):
        with Client(gateway.http) as client:
            client.send("POST /early HTTP/1.1\r\nHost: large.test\r\nContent-Length: 10000000\r\n\r\n")
            try:
                client.send(bytes(200_000))
            except ConnectionError:
                pass
            response = client.response("POST")
            assert (response.status, response.body) == (403, b"no")
