"""How connections end: data already sent still arrive, and a peer that is still reading or sending gets time for it."""

import json
import socket
import threading
import time

import pytest

from client import Client, tls_context
from gateway import eventually
from tls_records import ALERT, VERSIONS, RawTLS

SIZE = 1 << 20
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + bytes(SIZE)
ASK = b"POST /late HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [
            {"domain": "app.test", "upstreams": [module_origin.url], "timeouts": {"write": "1s"}},
            {"domain": "small.test", "upstreams": [module_origin.url], "limits": {"body_bytes": "10B"}},
        ],
        gateway={
            "workers": 1, "limits": {"body_progress_timeout": "1s"},
            "access_log": {"to": "access.log", "format": "json"},
        })


def lines(gateway):
    path = gateway.folder / "access.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("over", ["http", "https"])
@pytest.mark.parametrize("more", [b"\r\n", b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"], ids=["a line end", "a request"])
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_an_answer_is_whole_whatever_follows_its_request(gateway, origin, over, more, version):
    """RFC 9112 section 9.6: closing a socket with unread bytes resets the connection, and data in flight are lost."""
    sent = threading.Event()

    def answer(connection, request):
        sent.wait()
        connection.send(LARGE)

    origin.answers["/late"] = answer
    before = len(lines(gateway))
    tls = (tls_context(), "app.test") if over == "https" else ()
    with Client(getattr(gateway, over), *tls) as client:
        client.send(ASK.replace(b"HTTP/1.1", version))
        eventually("the request at its upstream", lambda: origin.requests)
        client.send(more)
        sent.set()
        # The client reads nothing until the gateway has sent all.
        eventually("the answer's line", lambda: len(lines(gateway)) > before)
        assert len(client.response("POST").body) == SIZE
        assert client.to_end() == b""


@pytest.mark.parametrize("over", ["http", "https"])
@pytest.mark.parametrize("more", [b"\r\n", b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"], ids=["a line end", "a request"])
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_an_answer_is_whole_whatever_comes_after_its_end(gateway, origin, over, more, version):
    """The gateway has sent the answer while most of it is still in the kernel's buffer: a reset would discard that."""
    size = 300_000
    origin.answers["/late"] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    before = len(lines(gateway))
    tls = (tls_context(), "app.test") if over == "https" else ()
    with Client(getattr(gateway, over), *tls) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(ASK.replace(b"HTTP/1.1", version))
        eventually("the answer's line", lambda: len(lines(gateway)) > before)
        client.send(more)
        assert len(client.response("POST").body) == size
        assert client.to_end() == b""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("connection", ["close", "keep-alive"])
@pytest.mark.parametrize("size, is_sent", [(300_000, True), (8 << 20, False)], ids=["behind it", "within it"])
@pytest.mark.parametrize("has_fin", [False, True], ids=["close_notify alone", "FIN too"])
def test_an_answer_is_whole_for_a_client_that_sends_close_notify_first(
        gateway, origin, version, connection, size, is_sent, has_fin):
    """By close_notify a client ends only its own sending (RFC 8446 section 6.1)."""
    origin.answers["/late"] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    before = len(lines(gateway))
    with RawTLS(gateway.https, version=VERSIONS[version]) as client:
        if is_sent:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 10)
        client.socket.sendall(client.data(ASK.replace(b"close", connection.encode())))
        if is_sent:
            # The gateway has sent all, and most of it is still in flight.
            eventually("the answer's line", lambda: len(lines(gateway)) > before)
        else:
            assert client.receive()
        client.socket.sendall(client.record(ALERT, b"\1\0"))
        if has_fin:
            client.socket.shutdown(socket.SHUT_WR)
        taken = bytearray()
        while True:
            while piece := client.read():
                taken += piece
            if not client.receive():
                break
        head, _, body = taken.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ") and len(body) == size


def pace(end, step):
    """Takes a step every tenth of a second until `end`, to be a slow peer."""
    while time.monotonic() < end:
        step()
        time.sleep(0.1)


def test_a_slow_reader_is_not_cut_off(gateway, origin):
    """The kernel reports room for more data only when megabytes were read: for a slow reader that takes longer than a
    deadline."""
    size = 16 << 20
    origin.answers["/large"] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    with Client(gateway.http) as client:
        client.send(b"GET /large HTTP/1.1\r\nHost: app.test\r\n\r\n")
        taken = bytearray()
        pace(time.monotonic() + 4, lambda: taken.extend(client.socket.recv(65536)))
        client.buffer += taken
        assert len(client.response().body) == size


def test_a_slow_upstream_is_not_cut_off(gateway, origin):
    size = 9 << 20

    def answer(connection, request):
        pace(time.monotonic() + 4, lambda: connection.buffer.extend(connection.socket.recv(65536)))
        assert connection.body(request)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    origin.early["/slow"] = answer
    with Client(gateway.http) as client:
        client.send(b"POST /slow HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n" % size)
        sender = threading.Thread(target=client.socket.sendall, args=(bytes(size),))
        sender.start()
        response = client.response("POST")
        sender.join()
        assert (response.status, response.body) == (200, b"ok")


def test_a_client_that_reads_nothing_is_cut_off(gateway, origin):
    size = 16 << 20
    origin.answers["/large"] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    before = gateway.metric("aegis_client_aborts_total")
    with Client(gateway.http) as client:
        client.send(b"GET /large HTTP/1.1\r\nHost: app.test\r\n\r\n")
        eventually("the end", lambda: gateway.metric("aegis_client_aborts_total") == before + 1)


def test_a_refusal_reaches_a_client_that_is_still_sending(gateway):
    """Many clients read an answer only when they have sent their whole request."""
    with Client(gateway.http) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: small.test\r\nContent-Length: 10000000\r\n\r\n")
        pace(time.monotonic() + 4, lambda: client.send(bytes(1000)))
        assert client.response("POST").status == 413


@pytest.mark.parametrize("body, status", [
    (b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    (b"Transfer-Encoding: chunked\r\n\r\nffff\r\n", 413),
    (b"Content-Length: 5\r\n\r\nx", 408),
], ids=["a chunk that is none", "too large", "one that does not come"])
def test_a_refused_body_is_logged_with_the_clients_request_id(gateway, body, status):
    with Client(gateway.http) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: small.test\r\n" + body)
        response = client.response("POST")
        assert response.status == status
        told = response["X-Request-Id"]
        assert told in response.body.decode()
    eventually("its line", lambda: (status, told) in [(line["status"], line["request_id"]) for line in lines(gateway)])


@pytest.mark.parametrize("request_", [
    b"HEAD / HTTP/1.1\r\nHost: a b\r\n\r\n", b"HEAD / HTTP/1.1\r\nX: "], ids=["a bad one", "one that does not come"])
@pytest.mark.parametrize("before", [b"", b"\r\n"], ids=["at once", "behind an empty line"])
def test_a_refused_head_request_has_no_body(run, request_, before):
    gateway = run([{"domain": "app.test", "respond": {"body": "hello"}}], gateway={"workers": 1, "limits": {"request_header_timeout": "1s"}})
    with Client(gateway.http) as client:
        client.send(before + request_)
        assert client.response("HEAD").status in (400, 408)
        assert client.to_end() == b""
