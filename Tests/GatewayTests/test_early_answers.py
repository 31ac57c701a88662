"""Upstreams that send bytes before a request, during its body, or after its answer: no client gets another's answer."""

import contextlib
import socket
import threading

import pytest

from client import Client
from gateway import PATIENCE, eventually
from origin import OK
from process import held
from segments import hear, lose, under_way
from tls_records import VERSIONS
from tls_server import EARLY, Server, TLSServer, answers_in_turn, honest, until_end

MALFORMED = 'aegis_upstream_failures_total{reason="malformed"}'


@pytest.fixture(scope="module", params=["plain", *VERSIONS])
def server(request, certificate_files):
    def act(peer):
        server.act(peer)

    version = VERSIONS.get(request.param)
    server = TLSServer(*certificate_files, act, version) if version else Server(act)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def front(run_once, server, certificate_files):
    trust = {"upstream_tls": {"ca_file": str(certificate_files[0])}} if server.context else {}
    return run_once(
        [{"domain": "app.test", "upstreams": [server.url], **trust}],
        gateway={"workers": 1, "limits": {"body_buffer_bytes": "0B"}})


def test_an_answer_sent_with_the_handshake_is_not_used(run, certificate_files):
    """Over TLS 1.2 the server sends the handshake's last message, before the request."""
    server = TLSServer(*certificate_files, lambda peer: peer.request(), VERSIONS["TLS 1.2"])
    server.greeting = OK
    gateway = run(
        [{"domain": "app.test", "upstreams": [server.url], "upstream_tls": {"ca_file": str(certificate_files[0])}}],
        gateway={"workers": 1})
    with Client(gateway.http) as client:
        for _ in range(5):
            assert client.get().status == 502
    gateway.await_log("sent something", "before the request")
    server.stop()


@pytest.mark.parametrize("delays", [False, True], ids=["at once", "with Nagle's algorithm"])
@pytest.mark.parametrize("kind", ["plain", *VERSIONS])
def test_an_upstream_that_speaks_first_answers_nobody(run, certificate_files, kind, delays):
    """Its kernel acknowledges requests before it has read them, so acknowledgements do not show that it speaks first."""
    server = TLSServer(*certificate_files, honest, VERSIONS[kind]) if kind in VERSIONS else Server(honest)
    server.greeting, server.delays_small_data = EARLY, delays
    trust = {"upstream_tls": {"ca_file": str(certificate_files[0])}} if server.context else {}
    gateway = run([{"domain": "app.test", "upstreams": [server.url], **trust}], gateway={"workers": 1})
    with Client(gateway.http) as client, Client(gateway.http) as other:
        for _ in range(3):
            assert [client.get().status, other.get().status] == [502, 502]
        gateway.await_log("sent something", "before the request")
        # As soon as the server waits for requests, it gets them.
        server.greeting = b""
        assert answers_in_turn(client)
    server.stop()


@pytest.mark.parametrize("greeting", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers", b"220 mail.test ESMTP\r\n", b"\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"",
], ids=["answer", "another protocol", "empty line", "interim", "the end"])
def test_bytes_before_the_request_are_no_answer(run, greeting):
    """The connection is up while the gateway is stopped, so that the server has sent bytes before the gateway looks."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        gateway = run([{"domain": "app.test", "upstreams": [f"http://127.0.0.1:{address[1]}"]}], gateway={"workers": 1})
        # The listener's queue is full: the next connection's first segment is lost, and is sent again a second later.
        waiting.enter_context(socket.create_connection(address))
        with Client(gateway.http) as client:
            client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
            eventually("an attempt to connect", lambda: gateway.metric("aegis_upstream_connections_total") == 1)
            with held(gateway.process.pid):
                waiting.enter_context(listener.accept()[0])
                accepted = waiting.enter_context(listener.accept()[0])
                accepted.sendall(greeting) if greeting else accepted.close()
            assert client.response().status == 502
    gateway.await_log("sent something", "before the request")


@pytest.mark.parametrize("greeting", [EARLY, b"HTTP/1.1 100 Continue\r\n\r\n", b"220 mail.test ESMTP\r\n"])
def test_bytes_sent_at_the_time_of_the_first_request_are_no_answer(server, front, greeting):
    """The request is lost on its way, so that what the server sends can't be its answer."""
    def early(peer):
        eventually("the request on its way", lambda: under_way(server.port) > 1500)
        peer.say(greeting).push()
        until_end(peer)

    server.act = early
    malformed = front.metric(MALFORMED)
    # Only the request's segment is large enough to be dropped.
    lose(server.listener, 1500)
    with Client(front.http) as client:
        try:
            assert client.get("app.test", "/", "A: " + 2000 * "a").status == 502
        finally:
            hear(server.listener)
        server.act = honest
        assert answers_in_turn(client)
    front.await_log("sent something", "before the request")
    assert front.metric(MALFORMED) == malformed + 1


@pytest.mark.parametrize("status", [200, 401, 413])
def test_an_early_answer_during_a_body_is_used_and_the_connection_closed(server, front, status):
    """The server has received the head only, and may answer it. What it sends after that can't be matched to a request."""
    def hasty(peer):
        head = peer.request()
        assert head.startswith(b"POST")
        eventually("the body on its way", lambda: under_way(server.port) > 1500)
        peer.say(b"HTTP/1.1 %d Hasty\r\nContent-Length: 2\r\n\r\nno" % status).push()
        until_end(peer)

    server.act, connections = hasty, server.connections
    lose(server.listener, 1500)
    with Client(front.http) as client, Client(front.http) as other:
        try:
            client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4000\r\n\r\n")
            eventually("the request", lambda: server.connections > connections)
            client.send(4000 * b"b")
            assert (answer := client.response()).status == status and answer.body == b"no"
        finally:
            hear(server.listener)
        server.act = honest
        assert answers_in_turn(other)
    assert server.connections == connections + 2


def test_a_unix_socket_that_answers_without_reading_gets_one_request(run, tmp_path):
    """The kernel reports that a socket has unread bytes but not how many, and a small part may be enough for an answer."""
    connections, arrived = [], threading.Event()

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                connections.append(listener.accept()[0])
                threading.Thread(target=answer, args=(connections[-1], len(connections) == 1), daemon=True).start()

    def answer(connection, isFirst):
        if isFirst:
            connection.recv(1, socket.MSG_PEEK)
            connection.sendall(EARLY)
            arrived.wait(PATIENCE)
        heads = b""
        while piece := connection.recv(65536):
            heads += piece
            # The first connection is slow: its answer comes after the next request.
            while heads.count(b"\r\n\r\n") > isFirst:
                head, heads = heads.split(b"\r\n\r\n", 1)
                target = head.split()[1]
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(target) + target)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "up.sock"))
        listener.listen()
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        gateway = run([{"domain": "app.test", "upstreams": [f"unix:{tmp_path}/up.sock"]}], gateway={"workers": 1})
        with Client(gateway.http) as client:
            assert client.get(path="/0").body == b"early"
            arrived.set()
            assert [client.get(path=f"/{number}").body for number in (1, 2)] == [b"/1", b"/2"]
        assert len(connections) == 2
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("method, answer", [
    ("GET", OK), ("HEAD", OK[:-2]), ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
], ids=["length", "HEAD", "204", "chunks"])
@pytest.mark.parametrize("when", ["with the answer", "soon", "late"])
def test_bytes_after_an_answer_end_the_connection(server, front, method, answer, when):
    arrived = threading.Event()

    def generous(peer):
        peer.request()
        if when == "with the answer":
            peer.say(answer + EARLY).push()
        else:
            peer.say(answer).push()
            if when == "late":
                arrived.wait(PATIENCE)
            peer.say(EARLY).push()
        with contextlib.suppress(ConnectionError):
            until_end(peer)
        peer.socket.close()
        ended.set()

    ended = threading.Event()
    server.act, connections = generous, server.connections
    with Client(front.http) as client:
        assert client.ask(f"{method} / HTTP/1.1\r\nHost: app.test\r\n\r\n").status in (200, 204)
        arrived.set()
        assert ended.wait(PATIENCE)
        server.act = honest
        assert answers_in_turn(client)
    assert server.connections == connections + 2
