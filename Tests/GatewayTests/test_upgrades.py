"""WebSockets and other changes of protocol: bytes pass both ways once the upstream has agreed, and not before."""

import threading

import pytest

from client import Client, tls_context
from gateway import eventually

ASK = (
    "GET /socket HTTP/1.1\r\nHost: app.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
AGREE = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once([
        {"domain": "app.test", "upstreams": [module_origin.url]},
        {"domain": "short.test", "upstreams": [module_origin.url], "timeouts": {"read": "300ms"}},
    ])


def echo(connection, request):
    """Agrees, then sends everything back."""
    connection.send(AGREE)
    while connection.buffer or connection.more():
        data = bytes(connection.buffer)
        connection.buffer.clear()
        connection.send(data)
    return False


def open_socket(client, ask=ASK):
    client.send(ask)
    response = client.response()
    assert response.status == 101
    assert response["Upgrade"] == "websocket" and "upgrade" in response["Connection"].lower()
    assert response["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    return client


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_bytes_pass_both_ways(gateway, origin, tls):
    origin.answers["/socket"] = echo
    with Client(gateway.https if tls else gateway.http, tls_context() if tls else None, "app.test") as client:
        open_socket(client)
        assert origin.last["Upgrade"] == "websocket" and origin.last["Connection"].lower() == "upgrade"
        for data in (b"hello", bytes(range(256)) * 100, b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"):
            client.send(data)
            assert client.exactly(len(data)) == data
    eventually("the upstream's end", lambda: not origin.connections[origin.last.connection].more())


def test_large_amounts_pass_both_ways_at_once(gateway, origin):
    origin.answers["/socket"] = echo
    data = bytes(range(256)) * 40_000
    with Client(gateway.http) as client:
        open_socket(client)
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        assert client.exactly(len(data)) == data
        sender.join()


def test_nothing_passes_before_the_upstream_has_agreed(gateway, origin):
    agreed = threading.Event()
    before = []

    def late(connection, request):
        agreed.wait(10)
        connection.socket.setblocking(False)
        try:
            before.append(connection.socket.recv(100))
        except BlockingIOError:
            before.append(b"")
        connection.socket.setblocking(True)
        return echo(connection, request)

    origin.answers["/socket"] = late
    with Client(gateway.http) as client, Client(gateway.http) as other:
        client.send(ASK + "too early")
        origin.await_requests(1)
        for _ in range(20):  # the gateway has had its turns
            other.get("app.test", "/other")
        agreed.set()
        assert client.response().status == 101
        assert client.exactly(9) == b"too early"
    assert before == [b""]


def test_what_comes_with_the_agreement_is_passed_on(gateway, origin):
    def eager(connection, request):
        connection.send(AGREE + b"first words")
        return False

    origin.answers["/socket"] = eager
    with Client(gateway.http) as client:
        open_socket(client)
        assert client.to_end() == b"first words"


def test_an_upgrade_that_is_refused_is_an_ordinary_answer(gateway, origin):
    origin.answers["/socket"] = b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno"
    with Client(gateway.http) as client:
        client.send(ASK + "GET /after HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.response().status == 426
        assert client.response().status == 200
    assert [request.target for request in origin.requests] == ["/socket", "/after"]


def test_an_upgrade_with_a_body_that_is_not_there_yet_is_not_agreed_to(gateway, origin):
    def agree(connection, request):
        connection.send(AGREE)
        while connection.more():
            pass
        return False

    origin.early["/socket"] = agree
    with Client(gateway.http) as client:
        client.send(ASK.replace("\r\n\r\n", "\r\nContent-Length: 10\r\n\r\nhello"))
        assert client.response().status in (400, 502)
        assert client.is_closed()


def test_an_idle_tunnel_ends_after_the_read_timeout(gateway, origin):
    origin.answers["/socket"] = echo
    with Client(gateway.http) as client:
        open_socket(client, ASK.replace("app.test", "short.test"))
        client.send("x")
        assert client.exactly(1) == b"x"
        assert client.is_closed()


def test_the_end_at_one_side_is_the_end_at_the_other(gateway, origin):
    def agree_and_end(connection, request):
        connection.send(AGREE)
        connection.exactly(5)
        connection.send(b"last words")
        return False

    origin.answers["/socket"] = agree_and_end
    with Client(gateway.http) as client:
        open_socket(client).send("hello")
        assert client.to_end() == b"last words"


def test_a_client_that_does_not_read_its_tunnel_is_cut_off(run, make_origin):
    flooding = make_origin()

    def flood(connection, _):
        connection.send(AGREE)
        try:
            while True:
                connection.send(bytes(1 << 16))
        except OSError:
            return False

    flooding.answers["/socket"] = flood
    gateway = run(
        [{"domain": "app.test", "upstreams": [flooding.url]}],
        gateway={"limits": {"body_progress_timeout": "1s"}})
    with Client(gateway.http) as client:
        client.send(ASK)
        client.until(b"\r\n\r\n")
        eventually("the end of the tunnel", lambda: gateway.metric("aegis_connections_open") == 0)
