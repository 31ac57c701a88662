"""WebSockets and other protocol upgrades: bytes pass in both directions once the upstream has agreed, and not before."""

import contextlib
import sqlite3
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
        {"domain": "short.test", "upstreams": [module_origin.url], "timeouts": {"tunnel": "300ms"}},
        {"domain": "long.test", "upstreams": [module_origin.url], "timeouts": {"read": "300ms", "write": "300ms"}},
        {"domain": "foo.test", "upstreams": [module_origin.url], "upgrade": ["Foo/2"]},
    ])


def echo(connection, request):
    """Agrees to the upgrade, then sends all bytes back."""
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


def test_no_bytes_pass_before_the_upstream_has_agreed(gateway, origin):
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
        for _ in range(20):  # the gateway has had time to pass bytes on
            other.get("app.test", "/other")
        agreed.set()
        assert client.response().status == 101
        assert client.exactly(9) == b"too early"
    assert before == [b""]


def test_bytes_sent_with_the_agreement_are_passed_on(gateway, origin):
    def eager(connection, request):
        connection.send(AGREE + b"first words")
        return False

    origin.answers["/socket"] = eager
    with Client(gateway.http) as client:
        open_socket(client)
        assert client.to_end() == b"first words"


def test_a_refused_upgrade_is_an_ordinary_answer(gateway, origin):
    origin.answers["/socket"] = b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno"
    with Client(gateway.http) as client:
        client.send(ASK + "GET /after HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.response().status == 426
        assert client.response().status == 200
    assert [request.target for request in origin.requests] == ["/socket", "/after"]


@pytest.mark.parametrize("version, ending", [("1.1", []), ("1.0", ["close"])])
def test_a_426_says_what_the_upstream_requires(gateway, origin, version, ending):
    """RFC 9110 section 15.5.22 requires the Upgrade field. Other hop-by-hop fields are not passed on."""
    origin.answer = (
        b"HTTP/1.1 426 \r\nUpgrade: foo/2, bar\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nUpgrade: baz\r\n"
        b"Content-Length: 2\r\n\r\nno")
    with Client(gateway.http) as client:
        answer = client.ask(f"GET / HTTP/{version}\r\nHost: app.test\r\n\r\n")
        assert answer.status == 426 and answer.body == b"no"
        assert answer.all("Upgrade") == ["foo/2, bar", "baz"] and answer["X-Hop"] is None
        assert answer.all("Connection") == ["upgrade", *ending]
    with Client(gateway.http) as client:
        origin.answer = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade:\r\nContent-Length: 2\r\n\r\nno"
        assert client.get().all("Connection") == []
        origin.answer = b"HTTP/1.1 403 No\r\nConnection: upgrade\r\nUpgrade: bar\r\nContent-Length: 2\r\n\r\nno"
        answer = client.get()
        assert answer.status == 403 and answer["Upgrade"] is None and answer["Connection"] is None


BODIES = {
    "length": "Content-Length: 5\r\n\r\nhello",
    "chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("body", BODIES)
def test_a_request_with_a_body_loses_its_upgrade(gateway, origin, body):
    with Client(gateway.http) as client:
        for _ in range(2):
            assert client.ask(ASK[:-2] + BODIES[body]).status == 200
    assert origin.last.body == b"hello"
    assert origin.last["Upgrade"] is None and origin.last["Connection"] is None


@pytest.mark.parametrize("offered, passed", [
    ("h2c", None), ("H2C", None), ("TLS/1.0", None), ("h2c, foo", None), ("websocket/13", None), ("webso cket", None),
    ("h2c, websocket", "websocket"), ("WebSocket", "WebSocket"), (" ,websocket,,h2c,", "websocket"),
])
def test_no_other_protocol_is_passed_on(gateway, origin, offered, passed):
    origin.answers["/"] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with Client(gateway.http) as client:
        response = client.ask(
            "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
            f"Upgrade: {offered}\r\n\r\n")
        # An upstream that answers with another protocol has not agreed.
        assert response.status == 502
    assert origin.last["Upgrade"] == passed and origin.last["HTTP2-Settings"] is None
    assert (origin.last["Connection"] or "").lower() == ("upgrade" if passed else "")


@pytest.mark.parametrize("agreed", ["", "Upgrade: foo\r\n", "Upgrade: websocket, h2c\r\n", "Upgrade: h2c\r\n",
                                    "Upgrade: websocket\r\nUpgrade: h2c\r\n", "Upgrade: websocket\r\nUpgrade: websocket\r\n"])
def test_an_upstream_may_change_only_to_the_requested_protocol(gateway, origin, agreed):
    origin.answers["/socket"] = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" + agreed.encode() + b"\r\nsecond stream")
    with Client(gateway.http) as client:
        assert client.ask(ASK).status == 502
    gateway.await_log("changed to a protocol that was not asked for")


def test_a_change_of_protocol_has_no_length(gateway, origin):
    """RFC 9110 section 8.6."""
    origin.answers["/socket"] = AGREE.replace(b"Upgrade: websocket", b"Content-Length: 5\r\nUpgrade: websocket") + b"hello"
    with Client(gateway.http) as client:
        client.send(ASK)
        response = client.response()
        assert (response.status, response["Content-Length"]) == (101, None)
        assert client.exactly(5) == b"hello"


def test_a_host_can_allow_other_protocols(gateway, origin):
    origin.answers["/"] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: Foo/2\r\n\r\nhello"
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: foo.test\r\nConnection: upgrade\r\nUpgrade: h2c, foo/2, bar\r\n\r\n")
        assert client.response().status == 101
        assert client.exactly(5) == b"hello"
    assert origin.last["Upgrade"] == "foo/2"


def test_h2c_can_not_be_allowed(gateway):
    gateway.config["hosts"].append({"domain": "h2c.test", "upstreams": ["http://127.0.0.1:1"], "upgrade": ["H2C"]})
    try:
        assert "'h2c' can't be passed on" in gateway.apply(65, everything=True)
    finally:
        gateway.config["hosts"].pop()


@pytest.mark.parametrize("name", ["h2", "h2c/1", "H2c-14", "HTTP/2.0", "tls/1.0"])
def test_http_2_is_never_passed_on_even_if_the_state_lists_it(run, make_origin, name):
    """A state of an earlier version may name it for an upstream; the rest of the host's settings are in force."""
    origin = make_origin()
    origin.answers["/"] = f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {name}\r\n\r\n".encode()
    gateway = run([{"domain": "foo.test", "upstreams": [origin.url], "upgrade": ["example/1", "foo/2"]}])
    gateway.stop()
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state:
        change = "UPDATE items SET record = CAST(replace(record, 'example/1', ?) AS BLOB) WHERE kind = 'host'"
        assert state.execute(change, (name,)).rowcount == 1
        state.commit()
    gateway.start()
    ask = "GET {} HTTP/1.1\r\nHost: foo.test\r\nConnection: upgrade\r\nUpgrade: {}, foo/2\r\n\r\n"
    with Client(gateway.http) as client:
        assert client.ask(ask.format("/other", name)).status == 200
        assert origin.last["Upgrade"] == "foo/2"
        assert client.ask(ask.format("/", name)).status == 502


def test_an_idle_tunnel_ends_after_its_own_timeout(gateway, origin):
    origin.answers["/socket"] = echo
    with Client(gateway.http) as client:
        open_socket(client, ASK.replace("app.test", "short.test"))
        client.send("x")
        assert client.exactly(1) == b"x"
        assert client.is_closed()


def test_an_idle_tunnel_outlives_the_read_and_write_timeouts(gateway, origin):
    origin.answers["/socket"] = echo
    with Client(gateway.http) as client:
        open_socket(client, ASK.replace("app.test", "long.test"))
        # Another exchange that takes too long is ended first.
        origin.answers["/late"] = lambda connection, request: connection.more()
        with Client(gateway.http) as other:
            assert other.get("long.test", "/late").status == 504
        client.send(b"\x89\x80abcd")  # a ping
        assert client.exactly(6) == b"\x89\x80abcd"


def test_a_close_on_one_side_closes_the_other(gateway, origin):
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
